from pathlib import Path

import pytest

from sampan.cli import share
from sampan.cli.share import Flags
from sampan.errors import UsageError
from sampan.machine.device import Share, ShareKind
from sampan.machine.model import MachineSpec

SPEC = MachineSpec(kernel=Path("web-kernel"))


def test_no_flag_shares_nothing():
    assert share.shared(SPEC, Flags()) == SPEC


def test_all_flags(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    flags = Flags(
        share=(f"{tmp_path}/a:/src:ro", f"{tmp_path}/b:/data:9p"), virtiofs=(f"{tmp_path}/c",)
    )
    assert share.shared(SPEC, flags).shares == (
        Share(source=tmp_path / "a", tag="share0", target="/src", read_only=True),
        Share(source=tmp_path / "b", tag="share1", target="/data", kind=ShareKind.PLAN9),
        Share(source=tmp_path / "c", tag="virtiofs0"),
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (Flags(share=("/none-such:/a",)), "/none-such: it is not there"),
        (Flags(virtiofs=("/none-such",)), "/none-such: it is not there"),
        (Flags(share=("/tmp:/a", "/usr:/a")), "2 shares cannot all be mounted at /a"),
    ],
)
def test_what_cannot_be_shared_is_refused(flags, said):
    with pytest.raises(UsageError, match=said):
        share.shared(SPEC, flags)

import pytest

from sampan.desktop import network, setup
from sampan.desktop.link import Link
from sampan.desktop.network import Networking
from sampan.desktop.setup import Setup
from sampan.errors import SampanError
from sampan.machine.registry import place
from sampan.net.setting import Settings


def test_what_is_written_can_be_read(tmp_path):
    assert setup.read(tmp_path) is None
    how = Setup(
        driver="vfkit",
        network=network.Options(
            networking=Networking.SHARED, link=Link.DATAGRAM, publish=("8080:80",),
            join=tmp_path / "net", settings=Settings(mtu=1400), address="192.168.65.9",
        ),
        power_off_deadline_s=5,
        virtiofsd=tmp_path / "virtiofsd",
        console=tmp_path / "log",
    )  # fmt: skip
    setup.write(tmp_path, how)
    assert setup.read(tmp_path) == how
    assert (tmp_path / place.SETUP).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "message"), [("{", "setup.json"), ('{"version": 99}', "written by a later Sampan")]
)
def test_what_cannot_be_read(tmp_path, text, message):
    (tmp_path / place.SETUP).write_text(text)
    with pytest.raises(SampanError, match=message):
        setup.read(tmp_path)


def test_no_file(tmp_path):
    (tmp_path / place.SETUP).mkdir()
    with pytest.raises(SampanError, match="cannot be read: Is a directory"):
        setup.read(tmp_path)

import os
import threading
from pathlib import Path

import pytest

from sampan.cli import device
from sampan.cli.device import Flags
from sampan.errors import UsageError
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.model import MachineSpec
from sampan.machine.storage import metadata

SPEC = MachineSpec(kernel=Path("web-kernel"))


def test_nothing_is_kept_when_nothing_is_asked_for(tmp_path):
    assert device.equip(SPEC, Flags(), tmp_path / "web-state") == SPEC
    assert device.console_path(Flags(), tmp_path / "web-state") is None
    with device.console_output(None) as output:
        assert output is None
    assert list(tmp_path.iterdir()) == []


def test_all_flags(tmp_path):
    state = device.state_folder(tmp_path / "web")
    flags = Flags(
        disk=("size=1M,format=raw",), data="text", device=("edu",), gui=True, usb=True
    )  # fmt: skip
    spec = device.equip(SPEC, flags, state)
    assert spec.disks == (
        Disk(path=tmp_path / "web-state" / "disk0.img", format=DiskFormat.RAW),
    )  # fmt: skip
    [disc] = spec.discs
    assert disc == tmp_path / "web-state" / "data.iso"
    assert disc.read_bytes() == metadata.disc(b"text")
    assert (spec.devices, spec.display, spec.usb) == (("edu",), True, True)


def test_nothing_is_made_for_a_disk_that_makes_no_sense(tmp_path):
    flags = Flags(disk=("size=1M,format=raw", "size=banana"), data="text")
    with pytest.raises(UsageError):
        device.equip(SPEC, flags, tmp_path / "web-state")
    with pytest.raises(UsageError, match="given twice"):
        device.equip(SPEC, Flags(data="a", data_file=Path("b")), tmp_path / "web-state")
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "web-state").touch()
    with pytest.raises(UsageError, match="cannot make the state folder"):
        device.equip(SPEC, Flags(data="text"), tmp_path / "web-state")


@pytest.mark.parametrize(
    ("flags", "path"),
    [
        (Flags(console=Path("log")), "log"),
        (Flags(console_file=True), "web-state/console.log"),
    ],
)
def test_the_console_goes_to_a_file(flags, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = device.console_path(flags, Path("web-state"))
    with device.console_output(said, make_folder=True) as output:
        assert output is not None
        os.write(output, b"said\n")
    assert (tmp_path / path).read_text() == "said\n"


def test_the_console_goes_to_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(path.read_text()))
    reader.start()
    with device.console_output(path) as output:
        assert output is not None
        os.write(output, b"said\n")
    reader.join()
    assert heard == ["said\n"]


def test_where_the_console_cannot_go(tmp_path):
    both = Flags(console=tmp_path / "log", console_file=True)
    with pytest.raises(UsageError, match="one file only"):
        device.console_path(both, tmp_path / "state")
    with (
        pytest.raises(UsageError, match="cannot write the console"),
        device.console_output(tmp_path / "missing" / "log"),
    ):
        pass


def test_the_file_of_metadata(tmp_path):
    (tmp_path / "data").write_bytes(b"text")
    spec = device.equip(SPEC, Flags(data_file=tmp_path / "data"), tmp_path / "web-state")
    assert spec.discs[0].read_bytes() == metadata.disc(b"text")

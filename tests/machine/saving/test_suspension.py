"""Saved machines on disk: whole or not there, and refused when they cannot be right."""

import asyncio

import msgspec
import pytest

from sampan.base import fs
from sampan.machine.device import Disk
from sampan.machine.driver import Build
from sampan.machine.model import Accelerator, MachineSpec
from sampan.machine.saving import suspension
from sampan.machine.saving.suspension import Suspension, SuspensionError

BUILD = Build(version="7.2.0", machine="pc-7.2")


def _save(folder, spec=None, data=b"memory", disks=()):
    with suspension.writing(folder) as made:
        with made.memory() as memory:
            memory.write(memoryview(data))
        saved = Suspension(
            spec=spec or MachineSpec(kernel=folder / "kernel"), driver="qemu", build=BUILD,
            accel=Accelerator.TCG, memory=memory.file(), disks=disks,
        )  # fmt: skip
        made.commit(saved)
    return saved


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(tmp_path):
    saved = _save(tmp_path / "a" / "b")
    assert suspension.is_saved(tmp_path / "a/b")
    assert suspension.read(tmp_path / "a/b") == saved
    with suspension.memory(tmp_path / "a/b", saved) as fd, open(fd, "rb", closefd=False) as stream:
        assert stream.read() == b"memory"
    asyncio.run(suspension.verify(tmp_path / "a/b", saved))
    assert (tmp_path / "a/b/suspended.json").stat().st_mode & 0o077 == 0


def test_a_new_one_replaces_the_old_one_and_nothing_else(tmp_path):
    (tmp_path / "mine").write_text("")
    _save(tmp_path)
    saved = _save(tmp_path, data=b"other")
    assert _names(tmp_path) == sorted(["mine", saved.memory.name, "suspended.json"])


def test_one_that_fails_leaves_the_old_one(tmp_path):
    saved = _save(tmp_path)

    def fail():
        with suspension.writing(tmp_path) as made, made.memory() as memory:
            memory.write(memoryview(b"half"))
            made.disk_copy(0).write_text("half")
            (tmp_path / f"{fs.TEMPORARY_PREFIX}0123456789ab").write_text("of a killed process")
            raise KeyError("fault")

    with pytest.raises(KeyError, match="fault"):
        fail()
    assert suspension.read(tmp_path) == saved
    assert _names(tmp_path) == sorted([saved.memory.name, "suspended.json"])


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SuspensionError, match=r"cannot save the machine: .*file"):
        _save(tmp_path / "file")


def test_removing(tmp_path):
    _save(tmp_path / "a")
    suspension.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    _save(tmp_path / "b")
    (tmp_path / "b/mine").write_text("")
    suspension.remove(tmp_path / "b")
    assert _names(tmp_path / "b") == ["mine"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: None, "no machine is saved in"),
        (lambda text: text[:-20], "damaged"),
        (lambda text: text.replace(b'"version": 1', b'"version": 9'), "of version 9"),
        (lambda text: text.replace(b'"version": 1', b'"new": 1, "version": 9'), "of version 9"),
        (lambda text: text.replace(b'"memory-', b'"../'), "names a file"),
        (lambda text: text.replace(b'"tcg"', b'"abacus"'), "damaged: .*accel"),
    ],
)
def test_documents_that_cannot_be_right(tmp_path, change, message):
    _save(tmp_path)
    path = tmp_path / "suspended.json"
    text = change(path.read_bytes())
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text)
    with pytest.raises(SuspensionError, match=message):
        suspension.read(tmp_path)


def test_a_document_that_is_no_file(tmp_path):
    (tmp_path / "suspended.json").mkdir()
    with pytest.raises(SuspensionError, match="cannot be read"):
        suspension.read(tmp_path)


def test_memory_that_cannot_be_right(tmp_path):
    saved = _save(tmp_path)
    path = tmp_path / saved.memory.name
    path.write_bytes(b"memorY")
    with pytest.raises(SuspensionError, match="not what was written"):
        asyncio.run(suspension.verify(tmp_path, saved))
    path.write_bytes(b"mem")
    with pytest.raises(SuspensionError, match="3 bytes, not 6"), suspension.memory(tmp_path, saved):
        pytest.fail("it is taken")
    path.unlink()
    with pytest.raises(SuspensionError, match="No such file"), suspension.memory(tmp_path, saved):
        pytest.fail("it is taken")


def test_another_hypervisor(tmp_path):
    saved = _save(tmp_path)
    suspension.check_build(tmp_path, saved, BUILD)
    other = msgspec.structs.replace(BUILD, version="8.0.0")
    with pytest.raises(SuspensionError, match=r"saved by qemu 7\.2\.0 .* this is 8\.0\.0"):
        suspension.check_build(tmp_path, saved, other)


def test_disks_that_were_written_since(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(b"data")
    spec = MachineSpec(
        kernel=tmp_path, disks=(Disk(path=path), Disk(path=tmp_path / "no", read_only=True))
    )
    state = suspension.disk_state(path)
    saved = _save(tmp_path / "a", spec, disks=(state, state))
    suspension.check_disks(saved)
    path.write_bytes(b"other")
    with pytest.raises(SuspensionError, match=r"disk\.img was written since"):
        suspension.check_disks(saved)
    path.unlink()
    with pytest.raises(SuspensionError, match=r"disk\.img of the saved machine cannot be read"):
        suspension.check_disks(saved)
    copied = msgspec.structs.replace(state, copy="disk-0")
    suspension.check_disks(msgspec.structs.replace(saved, disks=(copied, copied)))

"""Disks that are copied and put back, whole or not at all."""

import asyncio
import errno
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine.device import Disk
from sampan.machine.driver import Build
from sampan.machine.model import Accelerator
from sampan.machine.saving import content, suspension
from sampan.machine.saving.content import DigestError
from sampan.machine.saving.suspension import File, Suspension, SuspensionError
from sampan.machine.testing import spec

SIZE = 1 << 20
PIECES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=99)))


@pytest.fixture(autouse=True)
def _without_shared_blocks(monkeypatch):
    monkeypatch.setattr(content, "_share_blocks", lambda old, new: False)


def _write(path, pieces, size=SIZE):
    with path.open("wb") as stream:
        for offset, data in pieces:
            stream.seek(offset)
            stream.write(data)
        stream.truncate(size)


@pytest.mark.parametrize("pieces", [(), ((0, 5),), ((1 << 20, 10),), ((0, 9), (3 << 20, 1 << 16))])
def test_copies_of_files_with_holes(tmp_path, pieces):
    source, target = tmp_path / "source", tmp_path / "target"
    target.write_text("something else")
    _write(source, [(offset, os.urandom(length)) for offset, length in pieces], 8 << 20)
    content.copy(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 256


@given(pieces=PIECES)
def test_what_a_copy_is(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("content")
    source, target, flat = folder / "source", folder / "target", folder / "flat"
    _write(source, pieces)
    digest = content.copy(source, target)
    assert target.read_bytes() == source.read_bytes()
    flat.write_bytes(source.read_bytes())  # without holes
    assert content.copy(flat, target, expected=digest) == digest
    with flat.open("r+b") as stream:
        stream.truncate(SIZE + 1)
    with pytest.raises(DigestError):
        content.copy(flat, target, expected=digest)
    assert target.read_bytes() == source.read_bytes()


def _snapshot(folder, *disks):
    """A snapshot of disks, and them."""
    states = []
    for number, disk in enumerate(disks):
        copy = folder / f"disk-0-{number}"
        digest = content.copy(disk, copy)
        states.append(suspension.disk_state(disk, copy.name, digest))
    return Suspension(
        spec=spec(disks=tuple(Disk(path=each) for each in disks)), driver="fake", build=Build(),
        accel=Accelerator.TCG, memory=File(name="memory-0", size_bytes=0, sha256=""),
        disks=tuple(states),
    )  # fmt: skip


@pytest.fixture
def disks(tmp_path):
    (tmp_path / "s").mkdir()
    found = tmp_path / "a.img", tmp_path / "b.img"
    for each in found:
        each.write_bytes(b"before")
    return found


def _put_back(folder, saved, fault=None):
    async def scenario():
        async with content.put_back(folder, saved):
            if fault is not None:
                raise fault

    asyncio.run(scenario())


def _contents(disks):
    assert {each.name for each in disks[0].parent.iterdir()} == {"a.img", "b.img", "s"}
    return [each.read_bytes() for each in disks]


def test_they_are_put_back(tmp_path, disks):
    saved = _snapshot(tmp_path / "s", *disks)
    disks[0].write_bytes(b"after, and longer")
    disks[1].unlink()
    _put_back(tmp_path / "s", saved)
    assert _contents(disks) == [b"before", b"before"]


def test_they_stay_as_they_are_if_the_machine_does_not_go_on(tmp_path, disks):
    saved = _snapshot(tmp_path / "s", *disks)
    for each in disks:
        each.write_bytes(b"after")
    with pytest.raises(KeyError):
        _put_back(tmp_path / "s", saved, KeyError())
    assert _contents(disks) == [b"after", b"after"]


def test_who_gives_up_twice_waits_all_the_same(tmp_path, disks, monkeypatch):
    saved = _snapshot(tmp_path / "s", *disks)
    for each in disks:
        each.write_bytes(b"after")
    copying, going_on = threading.Event(), threading.Event()
    copy = content.copy

    def slow(*words, **more):
        copying.set()
        going_on.wait()
        return copy(*words, **more)

    async def put_back():
        async with content.put_back(tmp_path / "s", saved):
            raise AssertionError("nobody waits for this")

    async def scenario():
        task = asyncio.create_task(put_back())
        await asyncio.to_thread(copying.wait)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not task.done()
        going_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(content, "copy", slow)
    asyncio.run(scenario())
    assert _contents(disks) == [b"after", b"after"]


def test_a_filesystem_without_links_is_told_of(tmp_path, disks, monkeypatch, caplog):
    def refuse(self, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    saved = _snapshot(tmp_path / "s", disks[0])
    disks[0].write_bytes(b"after")
    monkeypatch.setattr(type(disks[0]), "hardlink_to", refuse)
    with pytest.raises(KeyError):
        _put_back(tmp_path / "s", saved, KeyError())
    assert disks[0].read_bytes() == b"before"
    assert "is replaced for good" in caplog.text


@pytest.mark.parametrize("damage", [b"beforE", b"before, and longer", None])
def test_a_damaged_copy_changes_nothing(tmp_path, disks, damage):
    saved = _snapshot(tmp_path / "s", *disks)
    copy = tmp_path / "s" / saved.disks[1].copy
    for each in disks:
        each.write_bytes(b"after")
    if damage is None:
        copy.unlink()
    else:
        copy.write_bytes(damage)
    with pytest.raises(SuspensionError, match=r"is not what was written|b\.img: .*No such file"):
        _put_back(tmp_path / "s", saved)
    assert _contents(disks) == [b"after", b"after"]


def test_disks_that_were_not_copied(tmp_path, disks):
    saved = _snapshot(tmp_path / "s", disks[0])
    other = suspension.disk_state(disks[1])
    both = spec(disks=tuple(Disk(path=each) for each in disks))
    for each in disks:
        each.write_bytes(b"after")
    stays = Suspension(
        spec=both, driver="fake", build=Build(), accel=Accelerator.TCG, memory=saved.memory,
        disks=(*saved.disks, other),
    )  # fmt: skip
    _put_back(tmp_path / "s", stays)
    assert _contents(disks) == [b"before", b"after"]

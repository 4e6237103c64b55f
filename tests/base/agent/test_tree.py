"""Trees there and back, and streams by senders that mean no good."""

import contextlib
import json
import os
import stat
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.agent import tree
from sampan.base.agent.tree import Limits, TreeError, Unpacker


def unpack(data, target, *, name="copy", limits=None, piece=1 << 20):
    with Unpacker(str(target), name, limits or Limits()) as unpacker:
        for start in range(0, len(data), piece):
            unpacker.feed(data[start : start + piece])
        return unpacker.is_done


def packed(source):
    return b"".join(tree.pack(str(source)))


def record(content=b"", **head):
    said = {"path": "", "kind": "file", "mode": 0o644, "mtime_ns": 0, "size": len(content)}
    text = json.dumps(said | head).encode()
    return struct.pack("<H", len(text)) + text + content


FOLDER = record(kind="folder", mode=0o755)
END = b"\0\0"


@pytest.fixture
def source(tmp_path):
    top = tmp_path / "source"
    (top / "a" / "empty").mkdir(parents=True)
    (top / "a" / "file").write_bytes(b"x" * 200_000)
    (top / "a" / "file").chmod(0o640)
    (top / "b").write_bytes(b"")
    (top / "link").symlink_to("/nowhere")
    os.mkfifo(top / "pipe")
    os.utime(top / "a", ns=(5, 7_000_000_000))
    (top / "a").chmod(0o750)
    return top


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_folder_there_and_back(source, tmp_path, piece):
    (source / "a" / "file").write_bytes(b"x" * 500)
    (source / "a" / "file").chmod(0o640)
    os.utime(source / "a", ns=(5, 7_000_000_000))
    assert unpack(packed(source), tmp_path / "there", piece=piece)
    there = tmp_path / "there"
    assert (there / "a" / "file").read_bytes() == b"x" * 500
    assert stat.S_IMODE((there / "a" / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((there / "a").stat().st_mode) == 0o750
    assert (there / "a").stat().st_mtime_ns == 7_000_000_000
    assert str((there / "link").readlink()) == "/nowhere"
    assert sorted(path.name for path in there.iterdir()) == ["a", "b", "link"]  # no pipe


def test_a_file_is_replaced_in_one_step(source, tmp_path):
    (tmp_path / "there").write_text("before")
    (tmp_path / "there").chmod(0o600)
    unpack(packed(source / "a" / "file"), tmp_path / "there")
    assert (tmp_path / "there").stat().st_size == 200_000


def test_into_a_folder(source, tmp_path):
    (tmp_path / "into").mkdir()
    unpack(packed(source / "b"), tmp_path / "into", name="named")
    unpack(packed(source / "b"), f"{tmp_path}/into/")
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == ["copy", "named"]


def test_a_folder_that_is_there_is_filled_up(source, tmp_path):
    (tmp_path / "into" / "copy" / "a").mkdir(parents=True)
    (tmp_path / "into" / "copy" / "own").write_text("stays")
    unpack(packed(source), tmp_path / "into")
    assert (tmp_path / "into" / "copy" / "own").read_text() == "stays"
    assert (tmp_path / "into" / "copy" / "a" / "file").exists()


def test_a_link_that_is_copied_is_followed_and_those_below_are_not(source, tmp_path):
    (tmp_path / "to-b").symlink_to(source / "b")
    unpack(packed(tmp_path / "to-b"), tmp_path / "there")
    assert not (tmp_path / "there").is_symlink()


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "source").mkdir()
    name = os.fsdecode(b"\xff\xfe")
    (tmp_path / "source" / name).touch()
    unpack(packed(tmp_path / "source"), tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == [name]


def test_what_cannot_be_copied(tmp_path):
    with pytest.raises(TreeError, match="neither a file nor a folder"):
        packed("/dev/null")
    with pytest.raises(FileNotFoundError):
        packed(tmp_path / "none")


@pytest.mark.parametrize("path", ["..", "a/../..", "/etc/passwd", "a//b", ".", "a/.", "x/" * 101])
def test_paths_that_lead_out_are_refused(tmp_path, path):
    with pytest.raises(TreeError, match="not allowed"):
        unpack(FOLDER + record(b"bad", path=path), tmp_path / "there")


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "outside").mkdir()
    data = FOLDER + record(path="way", kind="link", target=str(tmp_path / "outside"))
    with pytest.raises(TreeError, match="way is not a folder"):
        unpack(data + record(b"bad", path="way/file"), tmp_path / "there")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_that_was_there_before_is_replaced_not_followed(tmp_path):
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").symlink_to(tmp_path / "secret")
    unpack(record(b"new") + END, tmp_path / "there", name="file")
    assert (tmp_path / "secret").read_text() == "mine"
    assert (tmp_path / "there" / "file").read_text() == "new"


def test_a_folder_does_not_become_a_link(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "copy").symlink_to(tmp_path / "outside")
    with pytest.raises(TreeError, match="copy is not a folder"):
        unpack(FOLDER + record(b"bad", path="file"), tmp_path / "there")
    assert list((tmp_path / "outside").iterdir()) == []


def test_modes_of_a_stranger_lose_setuid(tmp_path):
    unpack(record(b"x", mode=0o6755) + END, tmp_path / "there")
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(size_bytes=5), "more than 5 bytes"), (Limits(entries=1), "more than 1 files")],
)
def test_limits(tmp_path, limits, message):
    with pytest.raises(TreeError, match=message):
        unpack(FOLDER + record(b"123456", path="x") + END, tmp_path / "there", limits=limits)


def test_half_a_file_leaves_nothing(tmp_path):
    (tmp_path / "into").mkdir()
    assert not unpack(record(b"x" * 100)[:-10], tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        b"\x02\x00no",
        b"\x02\x00[]",
        record(kind="device"),
        record(mode=-1),
        record(mode="x"),
        record(mode=True),
        record(size=2**70),
        record(path=5),
        record(path="a\0b"),
        record(kind="link", target=""),
        record(path="\ud800x"),
    ],
)
def test_nonsense_is_refused(tmp_path, data):
    with pytest.raises(TreeError, match="makes no sense"):
        unpack(data, tmp_path / "there")


def test_more_after_the_end(tmp_path):
    with pytest.raises(TreeError, match="after the end"):
        unpack(record(b"x") + END + b"x", tmp_path / "there")


def test_a_beginning_in_the_middle(tmp_path):
    with pytest.raises(TreeError, match="not begin at the beginning"):
        unpack(record(b"x", path="below"), tmp_path / "there")


def test_a_file_where_a_folder_is(tmp_path):
    (tmp_path / "into" / "copy").mkdir(parents=True)
    with pytest.raises(TreeError, match="copy cannot be replaced"):
        unpack(record(b"x") + END, tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["copy"]


def test_a_target_without_a_name(tmp_path):
    with pytest.raises(TreeError, match="what the copy is to be called"):
        unpack(END, f"{tmp_path}/", name="..")


@given(st.binary(max_size=300))
def test_noise_raises_one_error_only(tmp_path_factory, noise):
    folder = tmp_path_factory.mktemp("noise")
    with contextlib.suppress(TreeError, OSError):
        unpack(FOLDER + noise, folder / "there")
    assert [path.name for path in folder.iterdir()] in ([], ["there"])

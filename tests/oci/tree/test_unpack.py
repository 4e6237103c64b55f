import errno
import os
import stat

import pytest

from sampan.base.entry import Entry, Kind
from sampan.oci.tree import ExtractError, extract

TIME = 1_600_000_000_123_456_789
NULL = (Entry("dev/null", Kind.CHARACTER, 0o666, device=(1, 3)), b"")
PIPE = (Entry("pipe", Kind.FIFO, 0o640), b"")


@pytest.fixture
def unpacked(cache, put_image, tmp_path):
    """Where those layers were unpacked."""

    def run(*layers):
        extract(cache, put_image(layers), tmp_path / "out")
        return tmp_path / "out"

    return run


@pytest.fixture
def as_nobody(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("as_nobody")
def test_a_tree_is_made_with_modes_and_times(unpacked, layer, item):
    out = unpacked(layer([
        item("/", mtime_ns=TIME), item("d/", mtime_ns=TIME), item("d/f", b"text", mode=0o4755, mtime_ns=TIME),
        item("d/l", to="../../../etc/passwd", mtime_ns=TIME), item("z", link="d/f"), NULL, PIPE,
        item("d/\udcff", b"raw"),
    ]))  # fmt: skip
    assert (out / "d/f").read_bytes() == b"text"
    status = (out / "d/f").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o4755, TIME)
    assert (out / "z").samefile(out / "d/f")
    assert str((out / "d/l").readlink()) == "../../../etc/passwd"
    assert (out / "d").stat().st_mtime_ns == TIME == out.stat().st_mtime_ns
    assert (out / "pipe").is_fifo()
    assert not (out / "dev/null").exists()
    assert (out / "d" / os.fsdecode(b"\xff")).read_bytes() == b"raw"


@pytest.mark.usefixtures("as_nobody")
def test_a_folder_nobody_may_write_to_is_filled_all_the_same(unpacked, layer):
    closed = (Entry("d", Kind.DIRECTORY, 0o555), b"")
    file = (Entry("d/f", Kind.FILE, 0o444, size=1), b"x")
    out = unpacked(layer([closed, file]))
    assert (out / "d/f").read_bytes() == b"x"
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o555
    (out / "d").chmod(0o755)


@pytest.mark.usefixtures("as_nobody")
def test_links_to_devices_are_left_out_with_them(unpacked, layer, item):
    out = unpacked(layer([NULL, item("null", link="dev/null"), item("f")]))
    assert sorted(path.name for path in out.iterdir()) == ["dev", "f"]


def test_root_gets_owners_and_devices(unpacked, layer, item, monkeypatch):
    owners: dict[tuple[int, int], object] = {}
    made = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: owners.setdefault((uid, gid), fd))
    monkeypatch.setattr(
        os, "chown", lambda name, uid, gid, **_: owners.setdefault((uid, gid), name)
    )
    monkeypatch.setattr(os, "chmod", lambda *_, **__: None)
    monkeypatch.setattr(os, "utime", lambda *_, **__: None)
    monkeypatch.setattr(
        os, "mknod", lambda name, mode, device, **_: made.append((name, mode, device))
    )
    unpacked(layer([item("f", uid=5, gid=6), item("l", to="f", uid=7, gid=8), NULL]))
    assert {(5, 6), (7, 8)} <= set(owners)
    assert made == [("null", stat.S_IFCHR | 0o600, os.makedev(1, 3))]


def test_extended_attributes_are_set_where_the_disk_has_them(unpacked, layer, item, monkeypatch):
    seen = []

    def setxattr(_, name, value):
        seen.append((name, value))
        raise OSError(errno.ENOTSUP, "not here")

    monkeypatch.setattr(os, "setxattr", setxattr)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    unpacked(layer([item("f", xattrs=(("security.capability", b"1"), ("user.a", b"2")))]))
    assert seen == [("user.a", b"2")]


def test_a_folder_with_something_in_it_is_left_alone(cache, put_image, tmp_path):
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(ExtractError, match="is not empty"):
        extract(cache, put_image([]), tmp_path)


def test_what_the_system_refuses_is_named(unpacked, layer, item):
    with pytest.raises(ExtractError, match=r"cannot unpack l into .*: File name too long"):
        unpacked(layer([item("l", to="t" * 4096)]))


@pytest.mark.usefixtures("as_nobody")
@pytest.mark.parametrize("target", ["/", "..", "../../..", "/tmp"])
def test_nothing_is_written_through_a_link(unpacked, layer, item, tmp_path, target):
    before = set(tmp_path.parent.iterdir())
    out = unpacked(
        layer([item("l", to=target), item("l/evil", b"x")]), layer([item("l/evil2", b"x")])
    )
    assert set(tmp_path.parent.iterdir()) == before
    inside = out / target.lstrip("/") if target == "/tmp" else out
    assert (inside / "evil").read_bytes() == b"x"
    assert (inside / "evil2").read_bytes() == b"x"


@pytest.mark.usefixtures("as_nobody")
def test_a_link_put_in_the_way_while_unpacking_is_not_followed(
    unpacked, layer, item, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    real = os.mkdir

    def swapped(name, mode=0o777, *, dir_fd=None):
        if name == "d":
            os.symlink(tmp_path / "elsewhere", name, dir_fd=dir_fd)
        else:
            real(name, mode, dir_fd=dir_fd)

    data = layer([item("d/"), item("d/f", b"x")])
    monkeypatch.setattr(os, "mkdir", swapped)
    with pytest.raises(ExtractError, match="cannot unpack d"):
        unpacked(data)
    assert list((tmp_path / "elsewhere").iterdir()) == []

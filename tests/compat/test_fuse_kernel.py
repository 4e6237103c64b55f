"""Shares, used by this host's own kernel as a guest's would: see fuse_kernel.py."""

import ctypes
import errno
import filecmp
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.compat
PROGRAM = Path(__file__).with_name("fuse_kernel.py")
LIBRARY = ctypes.CDLL(None, use_errno=True)
TOKEN = ".sampan-token"
EVENTS = {
    0x2: "modify", 0x4: "attrib", 0x8: "close_write", 0x40: "moved_from", 0x80: "moved_to",
    0x100: "create", 0x200: "delete", 0x400: "delete_self",
}  # fmt: skip
FOLDER = 0x40000000


class Mounted:
    """A share, its mount point, and the parent's end of its control socket."""

    def __init__(self, base, owners, *more):
        self.source, self.target = base / "source", base / f"target-{owners}"
        self.source.mkdir(exist_ok=True)
        self.target.mkdir()
        self.control, theirs = socket.socketpair()
        self.control.settimeout(60)
        command = [sys.executable, PROGRAM, self.source, self.target, owners, *more]
        self.process = subprocess.Popen(
            command,
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        if self.process.stdout.readline() != "ready\n":
            _, said = self.process.communicate()
            pytest.skip(f"no FUSE can be mounted here: {said.splitlines()[-1] if said else '?'}")

    def tell(self, **order):
        self.control.sendall(json.dumps(order).encode() + b"\n")
        return json.loads(self.control.recv(1 << 16))

    def close(self):
        LIBRARY.umount2(os.fsencode(self.target), 2)
        _, said = self.process.communicate(timeout=60)
        self.control.close()
        assert (self.process.returncode, said) == (0, "")


@pytest.fixture
def mount(tmp_path):
    made = []

    def mount(*options):
        made.append(Mounted(tmp_path, *options))
        return made[-1]

    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("only root mounts, and only where there is /dev/fuse")
    yield mount
    for each in made:
        each.close()


@pytest.fixture(params=["host", "attributes"])
def mounted(mount, request):
    return mount(request.param)


def test_a_tree_goes_there_and_back(mounted, tmp_path):
    original = tmp_path / "original"
    (original / "a" / "b").mkdir(parents=True)
    for number in range(300):
        (original / "a" / f"file{number}").write_bytes(os.urandom(number * 7))
    (original / "large").write_bytes(os.urandom(5 << 20))
    (original / "link").symlink_to("a/file1")
    there, back = mounted.target / "tree", tmp_path / "back"
    shutil.copytree(original, there, symlinks=True)
    shutil.copytree(there, back, symlinks=True)
    names = [str(path.relative_to(original)) for path in original.rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(original, back, names, shallow=False)[0] == names
    assert filecmp.cmpfiles(original, mounted.source / "tree", names, shallow=False)[0] == names
    assert len(list((there / "a").iterdir())) == 301
    shutil.rmtree(there)
    assert list(mounted.source.iterdir()) == []


def test_owners_and_modes(mounted):
    file = mounted.target / "file"
    file.touch()
    os.chown(file, 999, 998)
    file.chmod(0o6750)
    status = file.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (999, 998, 0o6750)
    os.mkfifo(mounted.target / "fifo")
    assert stat.S_ISFIFO((mounted.target / "fifo").stat().st_mode)
    link = mounted.target / "link"
    link.symlink_to("file")
    os.lchown(link, 5, 5)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(mounted.target / "socket"))
        assert stat.S_ISSOCK((mounted.target / "socket").stat().st_mode)


def test_owners_of_the_host_stay(mount):
    mounted = mount("attributes")
    file = mounted.target / "file"
    file.touch()
    os.chown(file, 999, 998)
    file.chmod(0o4755)
    real = (mounted.source / "file").stat()
    assert (real.st_uid, stat.S_IMODE(real.st_mode)) == (os.geteuid(), 0o755)
    os.mknod(mounted.target / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert (mounted.target / "null").read_bytes() == b""
    assert stat.S_ISREG((mounted.source / "null").stat().st_mode)


def test_privileges_end_with_a_write_by_others(mounted):
    file = mounted.target / "file"
    file.write_text("x")
    file.chmod(0o4777)
    mounted.target.chmod(0o777)
    code = "import os; os.setuid(65534); os.write(os.open('file', os.O_WRONLY), b'y')"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=False, cwd=mounted.target)
    assert done.returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o777


def test_files_of_many_kinds_of_use(mounted):
    file = mounted.target / "file"
    with file.open("w+b") as stream:
        stream.write(b"0123456789")
        stream.flush()
        os.posix_fallocate(stream.fileno(), 0, 8192)
        os.ftruncate(stream.fileno(), 20)
        os.fsync(stream.fileno())
        file.unlink()
        assert os.pread(stream.fileno(), 30, 0) == b"0123456789".ljust(20, b"\0")
        os.fchmod(stream.fileno(), 0o600)
    one, two = mounted.target / "one", mounted.target / "two"
    one.write_text("1")
    os.link(one, two)
    assert one.stat().st_ino == two.stat().st_ino
    assert one.stat().st_nlink == 2
    with one.open("a") as stream:
        stream.write("2")
    assert (mounted.source / "two").read_text() == "12"
    os.utime(one, ns=(5_000_000_001, 6_000_000_002))
    assert two.stat().st_mtime_ns == 6_000_000_002
    os.setxattr(one, "user.x", b"y")
    os.setxattr(one, "trusted.x", b"z")
    assert sorted(os.listxattr(two)) == ["trusted.x", "user.x"]
    with one.open("rb") as source, file.open("wb") as target:
        assert os.copy_file_range(source.fileno(), target.fileno(), 2) == 2
    assert os.statvfs(one).f_blocks == os.statvfs(mounted.source).f_blocks


def test_a_file_without_a_name(mounted):
    try:
        fd = os.open(mounted.target, os.O_TMPFILE | os.O_RDWR)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("this kernel asks for no files without names")
    os.write(fd, b"kept")
    os.link(f"/proc/self/fd/{fd}", mounted.target / "named", follow_symlinks=True, src_dir_fd=fd)
    os.close(fd)
    assert (mounted.source / "named").read_text() == "kept"


def test_the_hosts_changes_are_seen_when_a_file_is_opened(mounted):
    (mounted.source / "file").write_text("one")
    assert (mounted.target / "file").read_text() == "one"
    (mounted.source / "file").write_text("two")
    assert (mounted.target / "file").read_text() == "two"


def test_read_only(mount):
    mounted = mount("host", "ro")
    (mounted.source / "file").write_text("text")
    file = mounted.target / "file"
    assert file.read_text() == "text"
    for wrong in (
        lambda: file.write_text("x"), file.unlink, lambda: file.chmod(0o600),
        (mounted.target / "new").mkdir, lambda: os.setxattr(file, "user.x", b""),
    ):  # fmt: skip
        with pytest.raises(OSError, match="Read-only"):
            wrong()
    assert (mounted.source / "file").read_text() == "text"


def test_a_folder_that_is_swapped_for_a_link_leads_nowhere_else(mounted, tmp_path):
    outside, folder = tmp_path / "outside", mounted.source / "folder"
    outside.mkdir()
    (outside / "file").write_text("SECRET")
    folder.mkdir()
    (folder / "file").write_text("inside")
    ended = threading.Event()

    def swap():
        while not ended.is_set():
            folder.rename(mounted.source / "away")
            folder.symlink_to(outside)
            folder.unlink()
            (mounted.source / "away").rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        target = os.open(mounted.target, os.O_PATH)
        for _ in range(500):
            with suppress(OSError), ExitStack() as stack:
                # links are for the guest to follow, which has no such folder
                inside = os.open("folder", os.O_PATH | os.O_NOFOLLOW, dir_fd=target)
                stack.callback(os.close, inside)
                fd = os.open("file", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=inside)
                stack.callback(os.close, fd)
                seen.add(os.read(fd, 100))
        os.close(target)
    finally:
        ended.set()
        thread.join()
    assert seen <= {b"inside"}


# Pretences


class Watch:
    """What the kernel tells those who watch a folder."""

    def __init__(self, *paths):
        self.fd = LIBRARY.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for path in paths:
            mask = sum(EVENTS)
            assert LIBRARY.inotify_add_watch(self.fd, os.fsencode(path), mask) > 0

    def heard(self):
        """All that was told since the last time: `create file`; folders with a slash."""
        try:
            data, at = os.read(self.fd, 1 << 16), 0
        except BlockingIOError:
            return []
        found = []
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode()
            at += 16 + length
            for bit, word in EVENTS.items():
                if mask & bit:
                    found.append(f"{word} {name}{'/' if mask & FOLDER else ''}".strip())
        return found


@pytest.fixture
def told(mount):
    """A share whose teller is this very task: what stages, and what acts."""
    mounted = mount("attributes")
    mounted.tell(teller=TOKEN)
    held = os.open(mounted.target / TOKEN, os.O_RDONLY)
    yield mounted
    os.close(held)


def stage(mounted, *lines):
    items = []
    for line in lines:
        did, path, *to = line.split()
        items.append({"did": did, "path": path, **({"to": to[0]} if to else {})})
    assert mounted.tell(stage=items)["staged"] == len(items)


def make(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def test_what_was_made_is_made_again(told):
    watch = Watch(told.target)
    (told.source / "file").write_text("content")
    (told.source / "folder").mkdir()
    (told.source / "link").symlink_to("file")
    stage(told, "create file", "mkdir folder", "symlink link")
    make(told.target / "file")
    (told.target / "folder").mkdir()
    (told.target / "link").symlink_to("anything")
    assert watch.heard() == ["create file", "close_write file", "create folder/", "create link"]
    assert (told.target / "file").read_text() == "content"
    assert (told.target / "link").readlink() == Path("file")
    assert (told.target / "folder").stat().st_ino == (told.source / "folder").stat().st_ino


def test_what_is_known_already_is_made_again(told):
    watch = Watch(told.target)
    (told.source / "file").write_text("content")
    (told.source / "folder").mkdir()
    known = [(told.target / name).stat().st_ino for name in ("file", "folder")]
    stage(told, "create file", "mkdir folder")
    make(told.target / "file")
    (told.target / "folder").mkdir()
    assert watch.heard() == ["create file", "close_write file", "create folder/"]
    assert [(told.target / name).stat().st_ino for name in ("file", "folder")] == known


@pytest.mark.parametrize("is_known", [True, False])
def test_what_was_removed_is_removed_again(told, is_known):
    (told.source / "file").write_text("content")
    (told.source / "folder").mkdir()
    if is_known:
        watch = Watch(told.target, told.target / "file")
        (told.target / "folder").stat()
    else:
        watch = Watch(told.target)
    (told.source / "file").unlink()
    (told.source / "folder").rmdir()
    stage(told, "delete file", "rmdir folder")
    (told.target / "file").unlink()
    (told.target / "folder").rmdir()
    heard = watch.heard()
    assert [each for each in heard if each.startswith("delete ")] == [
        "delete file",
        "delete folder/",
    ]
    assert ("delete_self" in heard) == is_known
    assert list(told.target.iterdir()) == []


def test_what_was_removed_with_its_folder(told):
    (told.source / "a" / "b").mkdir(parents=True)
    (told.source / "a" / "b" / "file").touch()
    watch = Watch(told.target, told.target / "a", told.target / "a" / "b")
    shutil.rmtree(told.source / "a")
    stage(told, "delete a/b/file", "rmdir a/b", "rmdir a")
    (told.target / "a" / "b" / "file").unlink()
    (told.target / "a" / "b").rmdir()
    (told.target / "a").rmdir()
    heard = [each for each in watch.heard() if each.startswith("delete ")]
    assert heard == ["delete file", "delete b/", "delete a/"]


@pytest.mark.parametrize("known", ["", "old", "new", "both"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_was_renamed_is_renamed_again(told, known, kind):
    (told.source / "a").mkdir()
    (told.source / "b").mkdir()
    old, new = told.source / "a" / "old", told.source / "b" / "new"
    old.mkdir() if kind == "folder" else old.write_text("content")
    watch = Watch(told.target / "a", told.target / "b")
    if known in ("old", "both"):
        (told.target / "a" / "old").stat()
    old.rename(new)
    if known in ("new", "both"):
        (told.target / "b" / "new").stat()
    stage(told, "rename a/old b/new")
    (told.target / "a" / "old").lstat()
    (told.target / "a" / "old").rename(told.target / "b" / "new")
    end = "/" if kind == "folder" else ""
    assert watch.heard() == [f"moved_from old{end}", f"moved_to new{end}"]
    assert new.exists()
    assert (told.target / "b" / "new").stat().st_ino == new.stat().st_ino
    assert list((told.target / "a").iterdir()) == []


def test_a_file_that_was_replaced(told):
    """As editors save: a new file, renamed to the name of the old one."""
    (told.source / "file").write_text("old")
    watch = Watch(told.target)
    of_old = Watch(told.target / "file")
    (told.source / "new").write_text("new")
    (told.source / "new").rename(told.source / "file")
    stage(told, "create new", "modify new", "rename new file")
    make(told.target / "new")
    with (told.target / "new").open("r+b", buffering=0) as stream:
        stream.write(b"x")
    (told.target / "new").rename(told.target / "file")
    heard = [each for each in watch.heard() if not each.startswith(("close", "attrib"))]
    assert heard == ["create new", "modify new", "moved_from new", "moved_to file"]
    assert "delete_self" in of_old.heard()
    assert (told.target / "file").read_text() == "new" == (told.source / "file").read_text()


def test_what_was_changed_is_changed_again(told):
    file = told.target / "file"
    (told.source / "file").write_text("content")
    assert file.read_text() == "content"
    watch = Watch(told.target, file)
    stage(told, "modify file", "attrib file", "modify file", "modify file")
    before = (told.source / "file").stat()
    with file.open("r+b", buffering=0) as stream:
        stream.write(b"x")
    os.utime(file, (1, 1))
    os.truncate(file, 3)
    fd = os.open(file, os.O_WRONLY)
    os.ftruncate(fd, 7)
    os.close(fd)
    heard = watch.heard()
    assert heard.count("modify file") == heard.count("modify") == 3
    assert heard.count("attrib file") == 1
    assert (told.source / "file").stat() == before
    assert file.read_text() == "content"
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_what_is_gone_by_now(told):
    watch = Watch(told.target)
    stage(
        told,
        "create file",
        "modify file",
        "rename file other",
        "delete other",
        "mkdir a",
        "create a/b",
        "rmdir a",
    )
    make(told.target / "file")
    with (told.target / "file").open("r+b", buffering=0) as stream:
        stream.write(b"x")
    (told.target / "file").rename(told.target / "other")
    (told.target / "other").unlink()
    (told.target / "a").mkdir()
    make(told.target / "a" / "b")
    (told.target / "a").rmdir()
    heard = [each for each in watch.heard() if not each.startswith("close")]
    assert heard == ["create file", "modify file", "moved_from file", "moved_to other",
                     "delete other", "create a/", "delete a/"]  # fmt: skip
    assert list(told.target.iterdir()) == list(told.source.iterdir()) == []


def test_a_teller_changes_nothing(told):
    (told.source / "file").write_text("content")
    file = told.target / "file"
    for act in (
        file.unlink, lambda: file.rename(told.target / "x"), lambda: file.write_text("x"),
        lambda: file.chmod(0), lambda: make(told.target / "new"), lambda: os.truncate(file, 0),
        lambda: os.link(file, told.target / "x"), lambda: os.setxattr(file, "user.x", b""),
        (told.target / "folder").mkdir, lambda: (told.target / "link").symlink_to("x"),
        lambda: os.open(told.target, os.O_TMPFILE | os.O_RDWR),
    ):  # fmt: skip
        with pytest.raises(OSError, match="canceled"):
            act()
    assert file.read_text() == "content"
    assert [path.name for path in told.source.iterdir()] == ["file"]


def test_only_the_teller_pretends(told):
    stage(told, "create file")
    (told.source / "file").write_text("content")
    code = (
        f"print(open({str(told.target / 'file')!r}).read()); open({str(told.target / 'by')!r}, 'w')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("content\n", "")
    assert (told.source / "by").exists()


def test_who_closes_the_token_is_a_task_like_any(mount):
    mounted = mount("attributes")
    assert mounted.tell(teller=TOKEN) == {"teller": TOKEN}
    held = os.open(mounted.target / TOKEN, os.O_RDONLY)
    with pytest.raises(OSError, match="canceled"):
        (mounted.target / "folder").mkdir()
    os.close(held)
    wait = threading.Event()  # the kernel tells of a close when it comes to it
    for _ in range(6000):
        try:
            (mounted.target / "folder").mkdir()
            break
        except OSError:
            wait.wait(0.01)
    assert (mounted.source / "folder").is_dir()

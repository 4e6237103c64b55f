"""Shares in a guest that is booted by a user without privileges, by `sampan run`."""

import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
SYSTEMS = Path(__file__).parent / "systems"
SOURCES = Path(__file__).parents[2] / "src"
NOBODY = 65534
SECRET = "THE SECRET OF THE HOST"


class Guest:
    """What the guest printed, and the folders of the host it was given."""

    def __init__(self, base, output, user):
        self.base = base
        self.output = output.replace("\r", "")
        self.user = user

    @property
    def shared(self):
        return self.base / "shared"


@pytest.fixture(scope="module")
def guest(built):
    """A guest that has used, and attacked, its shares; not started by root if that can be."""
    prefix = built(SYSTEMS / "shares.yml")
    with tempfile.TemporaryDirectory(prefix="sampan-share-", dir="/tmp") as made:
        base = Path(made)
        for path in prefix.parent.glob(f"{prefix.name}-*"):
            shutil.copy(path, base)
        furnish(base)
        command, user = unprivileged([sys.executable, "-m", "sampan", *arguments(base)], base)
        done = subprocess.run(
            command,
            cwd=base,
            env=environment(base),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "GUEST FINISHED" in done.stdout, done.stdout
        yield Guest(base, done.stdout, user)


def furnish(base):
    (base / "outside").mkdir()
    (base / "outside" / "secret").write_text(SECRET)
    for name in ("shared", "fixed", "tagged"):
        (base / name).mkdir()
        (base / name / "file").write_text(f"HOST {name}\n")
    shared = base / "shared"
    (shared / "up").symlink_to("../outside/secret")
    (shared / "absolute").symlink_to(base / "outside" / "secret")
    (shared / "folder").symlink_to("../outside")


def arguments(base):
    shares = [
        f"{base}/shared:/shares/virtiofs", f"{base}/shared:/shares/nine:9p",
        f"{base}/shared:/shares/again:ro",
        f"{base}/fixed:/shares/fixed:ro", f"{base}/fixed:/shares/nine-fixed:ro,9p",
    ]  # fmt: skip
    words = [word for share in shares for word in ("--share", share)]
    return ["run", *words, "--virtiofs", str(base / "tagged"), "--mem", "256", "shares"]


def environment(base):
    return {
        "PATH": os.environ["PATH"], "HOME": str(base), "PYTHONDONTWRITEBYTECODE": "1",
        "SAMPAN_RUNTIME_DIR": str(base / "run"),
        "PYTHONPATH": os.pathsep.join([str(SOURCES), *filter(None, sys.path)]),
    }  # fmt: skip


def unprivileged(command, base):
    """The command as a user without privileges, and that user's id."""
    if os.getuid() != 0:
        return command, os.getuid()
    for path in (base, *base.rglob("*")):
        os.lchown(path, NOBODY, NOBODY)
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for python in (command[0], "/usr/bin/python3"):  # the first may be in a home that is closed
        changed = [*drop, python, *command[1:]]
        imports = "import msgspec, click, yaml, h11"
        probe = [*drop, "unshare", "--map-root-user", python, "-c", imports]
        probed = subprocess.run(probe, env=environment(base), capture_output=True, check=False)
        if probed.returncode == 0:
            return changed, NOBODY
    pytest.skip("no Python here that a user without privileges may run, or no user namespaces")


def test_files_are_seen_from_both_sides(guest):
    assert guest.output.count("HOST shared") == 2
    assert guest.output.count("HOST fixed") == 2
    assert "HOST tagged" in guest.output  # mounted by the system's own YAML
    for name in ("virtiofs", "nine"):
        assert guest.output.count(f"FROM-{name.upper()}") == 2
        assert (guest.shared / f"by-{name}").read_text() == f"FROM-{name.upper()}\n"


@pytest.mark.parametrize("share", ["virtiofs", "nine"])
def test_a_database_owns_its_folder(guest, share):
    assert f"ROWS {share}" in guest.output
    assert guest.output.count("OWNER 999:999:600") == 2
    table = guest.shared / f"{share}-data" / "table"
    assert table.stat().st_uid == guest.user
    assert table.read_text() == f"ROWS {share}\n"


def test_owners_are_kept_with_the_files(guest):
    assert "AGAIN 999:999:700 999:999:600" in guest.output  # says another server
    assert "CHOWN DONE" in guest.output
    assert os.getxattr(guest.shared / "by-virtiofs", "user.sampan.owner") == b"998:998:100644"
    of_nine = os.getxattr(guest.shared / "by-nine", "user.virtfs.uid")
    assert struct.unpack("<I", of_nine) == (998,)


@pytest.mark.parametrize("share", ["fixed", "nine-fixed"])
def test_read_only_is_up_to_the_host(guest, share):
    assert f"REMOUNT {share} DONE" in guest.output
    for verb in ("WRITE", "CHANGE", "REMOVE", "MAKE"):
        assert f"{verb} {share} REFUSED" in guest.output
    assert [path.name for path in (guest.base / "fixed").iterdir()] == ["file"]


@pytest.mark.parametrize("share", ["virtiofs", "nine"])
def test_neither_devices_nor_setuid_programs_reach_the_host(guest, share):
    assert f"DEVICE {share} DONE" in guest.output  # ones of the guest's only
    assert f"SETUID {share} 6755 regular file 644 block special file" in guest.output
    for name in ("device", "setuid"):
        status = (guest.shared / f"{share}-{name}").stat()
        assert stat.S_ISREG(status.st_mode)
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID)


def test_no_link_leads_out(guest):
    assert SECRET not in guest.output
    outside = guest.base / "outside"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    assert "INSIDE" in guest.output  # the race was one: it was the folder at times

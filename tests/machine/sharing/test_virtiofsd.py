from pathlib import Path

import pytest

from sampan.base import proc
from sampan.errors import ToolMissingError
from sampan.machine.device import Share
from sampan.machine.sharing import virtiofsd
from sampan.machine.sharing.virtiofsd import Privilege, Program

C = Program(path=Path("/v"), rust=False)
RUST = Program(path=Path("/v"), rust=True)
ROOT = Privilege(root=True)
SHARE = Share(source=Path("/a b,c"), tag="a")
READ_ONLY = Share(source=Path("/a"), tag="a", read_only=True)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (C, ("/v", "--fd=7", "-o", "source=/a b\\,c,modcaps=-mknod")),
        (RUST, ("/v", "--fd=7", "--shared-dir=/a b,c", "--modcaps=-mknod")),
    ],
)
def test_the_daemons_have_options_of_their_own(program, words):
    assert virtiofsd.argv(program, SHARE, ROOT, 7) == words


@pytest.mark.parametrize(
    ("privilege", "words"),
    [
        (ROOT, ()),
        (Privilege(root=False), ("unshare", "--map-root-user")),
        (Privilege(root=False, subordinate=True), ("unshare", "--map-root-user", "--map-auto")),
    ],
)
def test_namespaces(privilege, words):
    plain = virtiofsd.argv(C, SHARE, privilege, 7)
    assert plain[: len(words)] == words
    assert plain[len(words)] == "/v"
    read_only = virtiofsd.argv(C, READ_ONLY, privilege, 7)
    script = read_only.index("sh")
    assert read_only[:script] == (*(words or ("unshare",)), "--mount", "--propagation", "slave")
    assert read_only[script + 3 : script + 6] == ("sh", "/a", "/v")


@pytest.fixture
def program(tmp_path):
    """Makes a virtiofsd that runs the given lines of shell once somebody connects."""

    def make(lines, version="virtiofsd version 7.2 (QEMU Project)"):
        path = tmp_path / "virtiofsd"
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\n{lines}\n')
        path.chmod(0o755)
        return path

    return make


@pytest.mark.parametrize(
    ("version", "rust"),
    [("virtiofsd version 7.2 (QEMU Project)", False), ("virtiofsd 1.13.2", True)],
)
def test_whose_daemon_it_is(program, version, rust):
    path = program("", version)
    assert virtiofsd.find(path) == Program(path=path, rust=rust)


def test_one_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(ToolMissingError, match="none is not a program"):
        virtiofsd.find(tmp_path / "none")
    monkeypatch.setattr(proc, "_MORE_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="virtiofsd is not installed") as caught:
        virtiofsd.find(Path("virtiofsd"))
    assert "apt install" in caught.value.hint


def test_the_one_that_is_installed(program, monkeypatch):
    path = program("")
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    assert virtiofsd.find(Path("virtiofsd")).path == path


def test_hints():
    assert "mounted below" in virtiofsd.hint("mount: wrong fs type")
    assert "user namespaces" in virtiofsd.hint("unshare: no")
    assert virtiofsd.hint("out of luck") is None

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "host-packages"
SHELL_TOOLS = ("bash", "env", "sed")


@pytest.fixture
def host(tmp_path):
    """A computer with nothing but a shell; returns what `host-packages run` does there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL_TOOLS:
        (folder / name).symlink_to(shutil.which(name) or "/bin/false")

    def program(name, text="exit 0"):
        path = folder / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def run(uid, *, programs=(), apt=None):
        program("id", f"echo {uid}")
        program("python3")
        for name in programs:
            program(name)
        if apt is not None:
            program("apt-get", f'echo "$@" >> {tmp_path}/apt\n{apt}')
        # /usr/sbin and /sbin are searched too, but hold none of the programs of `run`
        done = subprocess.run(
            ["bash", SCRIPT, "run"],
            env={"PATH": str(folder), "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        log = tmp_path / "apt"
        return done, log.read_text().splitlines() if log.exists() else []

    return run


ALL = ("git", "qemu-system-x86_64")


def test_nothing_is_missing(host):
    done, apt = host(1000, programs=ALL, apt="exit 0")
    assert (done.returncode, done.stdout, done.stderr, apt) == (0, "", "", [])


def test_root_installs_what_is_missing_and_no_more(host):
    done, apt = host(0, programs=["git"], apt="exit 0")
    assert done.returncode == 0
    assert apt == ["install --yes --no-install-recommends qemu-system-x86"]


def test_package_lists_are_fetched_when_they_are_needed(host):
    done, apt = host(0, programs=["git"], apt="exit 1")
    assert done.returncode != 0
    assert apt == ["install --yes --no-install-recommends qemu-system-x86", "update"]


def test_without_rights_it_says_what_to_install(host):
    done, apt = host(1000, programs=["git"], apt="exit 0")
    assert done.returncode == 3
    assert "as root: apt-get install --yes --no-install-recommends qemu-system-x86" in done.stderr
    assert apt == []


def test_without_apt_it_names_the_packages(host):
    done, _ = host(0, programs=ALL)
    assert done.returncode == 3
    assert "missing: apt (names of Debian packages)" in done.stderr


def test_wrong_usage():
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 2

"""The command line as a user meets it: words in; status, stdout and stderr out."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from sampan.cli.main import main
from sampan.errors import SampanError
from sampan.machine.registry.store import Store


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def error(self):
        """The error object that `--json` prints last."""
        return json.loads(self.err.splitlines()[-1])["error"]


@pytest.fixture
def sampan(monkeypatch, tmp_path, capsys):
    """Run one command line with a home, cache and state of its own."""
    for variable in ("SAMPAN_CACHE", "LINUXKIT_CACHE", "LINUXKIT_MIRROR", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("SAMPAN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


class Machines:
    """Machines in the background, each of which acts out the steps it is given."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store

    def system(self, name, *steps):
        """A system of that name in the current folder."""
        (self.folder / f"{name}-kernel").write_text("\n".join(steps))
        (self.folder / f"{name}-initrd.img").write_bytes(b"")
        (self.folder / f"{name}-cmdline").write_text("console=ttyS0")
        return name

    def start(self, name, *steps, flags=()):
        """`sampan run --detached`, with a network of QEMU's; the record of the machine."""
        words = ["run", "-d", "--accel", "tcg", "--arch", "amd64", "--networking", "user"]
        done = self.run(*words, *flags, self.system(name, *steps))
        assert done.returncode == 0, done.stderr
        return self.store.record(done.stdout.strip())

    def run(self, *words):
        """Any command, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "sampan", *words],
            cwd=self.folder, capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def machines(sampan, fake_qemu, runtime_root, tmp_path, monkeypatch):
    """See `Machines`; what still runs after the test is ended."""
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime_root))
    made = Machines(tmp_path, Store(Path(os.environ["SAMPAN_STATE_DIR"]) / "machines", version="1"))
    yield made
    for name in made.store.names():
        with suppress(SampanError):
            made.store.end_by_force(name)

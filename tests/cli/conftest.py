"""The command line as a user meets it: words in; status, stdout and stderr out."""

import json
from typing import NamedTuple

import pytest

from sampan.cli.main import main


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

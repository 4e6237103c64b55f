"""Bad input, and the exact words a user gets for it."""

import os

import pytest


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "files.yml"
    path.write_text("files:\n  - {path: etc/motd, contents: hello}\n")
    return path


def test_missing_file(sampan):
    said = sampan("build", "no.yml")
    assert said.status == 2
    assert said.err == "sampan: no.yml: no such file\n  hint: check the path\n"


def test_unknown_architecture(sampan, files):
    said = sampan("build", "--arch", "pdp11", files)
    assert said.status == 2
    assert said.err == (
        "sampan: unknown architecture 'pdp11'\n  hint: there are amd64, arm64, riscv64, s390x\n"
    )


def test_nothing_to_run(sampan):
    said = sampan("run", "web")
    assert said.status == 1
    assert said.err == (
        "sampan: there is no system web: web-kernel is missing\n"
        "  hint: build it first: sampan build web.yml\n"
    )


def test_full_disk(sampan, files):
    said = sampan("build", "-q", "--o", "/dev/full", files)
    assert said.status == 1
    assert said.err == (
        "sampan: /dev/full cannot be written: no space left on device\n"
        "  hint: make room and build again; nothing half-written was left\n"
    )


def test_full_disk_leaves_nothing(sampan, files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    assert sampan("build", "--format", "tar", "--name", "a", files).status == 0
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    said = sampan("build", "-q", "--format", "tar", "--dir", "out", files)
    assert said.status == 1
    assert said.err == (
        "sampan: out/files.tar cannot be written: no space left on device\n"
        "  hint: make room and build again; nothing half-written was left\n"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_cache_that_cannot_be_made(sampan, files):
    said = sampan("--cache", "/proc/x", "build", files)
    assert (said.status, said.err) == (1, "sampan: /proc/x: No such file or directory\n")


def test_image_that_is_nowhere(sampan, tmp_path):
    said = sampan("cache", "rm", "nothing:1")
    assert said.status == 1
    assert said.err.startswith("sampan: nothing:1 is not in the cache\n  hint: ")
    assert said.err.endswith("sampan cache pull nothing:1\n")

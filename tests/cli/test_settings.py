import io
from pathlib import Path

import pytest

from sampan.base.progress import SILENT
from sampan.cli import jsonout, render, settings
from sampan.errors import UsageError


def test_folders_follow_xdg():
    environment = {"XDG_CACHE_HOME": "/c", "XDG_DATA_HOME": "/d", "HOME": "/h"}
    assert settings.cache_folder(environment) == Path("/c/sampan")
    assert settings.state_folder(environment) == Path("/d/sampan")


@pytest.mark.parametrize("extra", [{}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}])
def test_folders_without_xdg_are_in_home(extra):
    assert settings.cache_folder({"HOME": "/h", **extra}) == Path("/h/.cache/sampan")
    assert settings.state_folder({"HOME": "/h"}) == Path("/h/.local/share/sampan")


def test_without_home_the_account_knows():
    assert settings.cache_folder({}).is_absolute()


def test_docker_config():
    assert settings.docker_config({"HOME": "/h"}) == Path("/h/.docker/config.json")
    assert settings.docker_config({"DOCKER_CONFIG": "/x"}) == Path("/x/config.json")


def test_source_date_epoch():
    assert settings.source_date_epoch({}) is None
    assert settings.source_date_epoch({"SOURCE_DATE_EPOCH": ""}) is None
    assert settings.source_date_epoch({"SOURCE_DATE_EPOCH": "0"}) == 0
    assert settings.source_date_epoch({"SOURCE_DATE_EPOCH": "4294967295"}) == 0xFFFFFFFF
    for text in ("soon", "-1", "1.5", "²", "4294967296", "9" * 5000):
        with pytest.raises(UsageError, match="is not a time"):
            settings.source_date_epoch({"SOURCE_DATE_EPOCH": text})


@pytest.mark.parametrize(("flags", "kind"), [({"json": True}, jsonout.Lines), ({}, render.Lines)])
def test_progress_suits_the_flags(monkeypatch, flags, kind):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(settings.Settings(Path("/c"), **flags).progress(), kind)


def test_quiet_progress_is_silent():
    assert settings.Settings(Path("/c"), quiet=True).progress() is SILENT

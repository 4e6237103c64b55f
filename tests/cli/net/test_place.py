import os
from pathlib import Path

import click
import pytest

from sampan.cli.net import place
from sampan.errors import SampanError, UsageError


def test_sockets_are_in_a_folder_of_ours_alone(runtime):
    assert place.socket("web") == runtime / "net" / "web.sock"
    assert (runtime / "net").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["", "a/b", "..", "-a", "x" * 33, "a b", "é"])
def test_names(runtime, name):
    with pytest.raises(UsageError, match="no name for a network"):
        place.socket(name)


def test_where_the_folder_is(runtime_root):
    own = {"SAMPAN_RUNTIME_DIR": str(runtime_root / "own")}
    assert place.folder(own) == runtime_root / "own" / "net"
    assert place.folder({"XDG_RUNTIME_DIR": str(runtime_root)}) == runtime_root / "sampan" / "net"


@pytest.mark.parametrize("variable", ["SAMPAN_RUNTIME_DIR", "XDG_RUNTIME_DIR"])
def test_a_folder_that_is_too_long_for_sockets(tmp_path, variable, monkeypatch):
    long = tmp_path / ("h" * 100)
    long.mkdir()
    made = []
    monkeypatch.setattr(Path, "mkdir", lambda path, **_: made.append(path))
    monkeypatch.setattr(Path, "lstat", lambda path: tmp_path.stat())
    assert place.folder({variable: str(long)}) == Path(f"/tmp/sampan-{os.getuid()}/net")
    assert long not in made


def test_the_folder_is_a_file(runtime_root):
    (runtime_root / "f").write_text("")
    with pytest.raises(SampanError):
        place.folder({"SAMPAN_RUNTIME_DIR": str(runtime_root / "f")})
    with pytest.raises(SampanError, match="cannot make"):
        place.folder({"SAMPAN_RUNTIME_DIR": str(runtime_root / "f" / "g")})


def test_another_users_folder(runtime, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(SampanError, match="not ours"):
        place.folder()


def test_default_network_is_preferred(start, runtime):
    start("web")
    start("default")
    assert place.find(None, None) == runtime / "net" / "default.sock"
    assert place.find("web", None) == runtime / "net" / "web.sock"
    assert place.find("web", Path("/x")) == Path("/x")


def test_the_only_network_is_meant(start, runtime):
    assert place.find(None, None).name == "default.sock"
    start("web")
    (runtime / "net" / "left.sock").touch()
    assert place.find(None, None).name == "web.sock"


def test_several_networks(start):
    start("a")
    start("b")
    with pytest.raises(UsageError, match="several") as caught:
        place.find(None, None)
    assert caught.value.hint == "name one of them: --name a, b"


def test_options_give_a_client(runtime):
    seen = []

    @click.command()
    @place.options
    def command(network):
        seen.append(network.path)

    command.main(["--name", "web"], standalone_mode=False)
    command.main(["--control", "/x.sock"], standalone_mode=False)
    command.main([], standalone_mode=False)
    assert seen == [
        runtime / "net" / "web.sock", Path("/x.sock"), runtime / "net" / "default.sock",
    ]  # fmt: skip

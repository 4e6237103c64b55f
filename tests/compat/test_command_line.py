"""The command line against a real registry: what a user types to push and pull."""

import hashlib
import json
import shutil
import tarfile

import pytest

from sampan.cli.main import main

pytestmark = pytest.mark.compat


@pytest.fixture
def registry(docker_registry):
    """The address of an empty registry."""
    assert shutil.which("docker-registry") is not None, "apt install docker-registry"
    return docker_registry()


@pytest.fixture
def sampan(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LINUXKIT_MIRROR", raising=False)

    def run(cache, *words):
        capsys.readouterr()
        status = main(["--cache", str(tmp_path / cache), *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def archive(tmp_path):
    """A tar as `docker save` writes it, of the image hello:1."""
    (tmp_path / "greeting").write_text("hello\n")
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        tar.add(tmp_path / "greeting", "greeting")
    layer = (tmp_path / "layer.tar").read_bytes()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    listing = [{"Config": "config.json", "RepoTags": ["hello:1"], "Layers": ["layer.tar"]}]
    (tmp_path / "manifest.json").write_text(json.dumps(listing))
    with tarfile.open(tmp_path / "hello.tar", "w") as tar:
        for name in ("manifest.json", "config.json", "layer.tar"):
            tar.add(tmp_path / name, name)
    return tmp_path / "hello.tar"


def test_push_and_pull(sampan, registry, archive, tmp_path):
    name = f"{registry}/me/hello:1"
    assert sampan("a", "cache", "import", archive)[:2] == (0, "hello:1\n")
    assert sampan("a", "cache", "push", "-remote-name", name, "hello:1")[0] == 0
    status, _, err = sampan("b", "cache", "pull", "-platform", "linux/amd64", name)
    assert (status, "fault" in err) == (0, False)
    (ours,) = json.loads(f"[{sampan('a', 'cache', 'ls', '-json')[1]}]")
    (theirs,) = json.loads(f"[{sampan('b', 'cache', 'ls', '-json')[1]}]")
    assert theirs["digest"] == ours["digest"]
    assert theirs["name"] == name


def test_pull_through_a_mirror(sampan, registry, archive):
    sampan("a", "cache", "import", archive)
    sampan("a", "cache", "push", "-remote-name", f"{registry}/library/hello:1", "hello:1")
    words = ("cache", "pull", "--platform", "linux/amd64", "hello:1")
    status, _, err = sampan("b", "--mirror", f"docker.io=http://{registry}", *words)
    assert status == 0, err
    assert "docker.io/library/hello:1" in sampan("b", "cache", "ls", "--json")[1]


def test_what_is_not_there(sampan, registry):
    status, _, err = sampan("a", "cache", "pull", f"{registry}/no/such:1")
    assert status == 1
    assert registry in err
    assert "no/such:1" in err

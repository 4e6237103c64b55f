import json
import os
from pathlib import Path

import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import metadata
from sampan.machine.storage import iso

CONFIG = iso.build("config", {"config": b"x"})
CIDATA = iso.build("cidata", {"user-data": b"x"})


@pytest.fixture(autouse=True)
def named(monkeypatch):
    """The names the machine was given."""
    names: list[str] = []
    monkeypatch.setattr("socket.sethostname", names.append)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return names


@pytest.fixture
def disc(monkeypatch):
    """What mounting gives: the files that were put here."""
    files: dict[str, bytes] = {}
    mounted: list[object] = []

    def mount(call):
        mounted.append(call)
        for name, content in files.items():
            Path(call.target, name).write_bytes(content)

    monkeypatch.setattr("sampan.guest.tool.metadata.kernel.mount", mount)
    monkeypatch.setattr("sampan.guest.tool.metadata.kernel.unmount", mounted.append)
    files["mounted"] = b""
    return files, mounted


def run(bench, *words):
    return metadata.main(list(words), bench.host, str(bench.root))


def config(bench):
    folder = bench.root / "run" / "config"
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_linuxkits_form(bench, disc, named):
    files, mounted = disc
    bench.add("sr0", content=CONFIG)
    tree = {
        "ssh": {"entries": {"authorized_keys": {"content": "k"}}},
        "hostname": {"content": "web"},
    }
    files["config"] = json.dumps(tree).encode()
    assert run(bench) == 0
    assert config(bench) == {
        "provider": "cdrom",
        "hostname": "web",
        "ssh/authorized_keys": "k",
        "userdata": json.dumps(tree),
    }
    assert named == ["web"]
    call, unmounted = mounted
    assert (call.source, call.type, call.flags) == (f"{bench.dev}/sr0", "iso9660", 0xF)
    assert call.target == unmounted


def test_nocloud_says_who_it_is(bench, disc, named):
    files, _ = disc
    bench.add("sr0", content=CIDATA)
    files["user-data"], files["config"] = b"#!/bin/sh\n", b"not this one"
    files["meta-data"] = b'instance-id: i-1\nlocal-hostname: "web"\nother: x\n'
    assert run(bench) == 0
    assert config(bench) == {
        "provider": "cdrom",
        "hostname": "web",
        "instance_id": "i-1",
        "userdata": "#!/bin/sh\n",
    }
    assert named == ["web"]


def test_cidata_comes_before_other_discs(bench):
    bench.add("sr0", content=CONFIG)
    assert metadata.find_disc(bench.host) == f"{bench.dev}/sr0"
    bench.add("vda", content=CIDATA)
    assert metadata.find_disc(bench.host) == f"{bench.dev}/vda"


def test_a_disk_that_is_no_disc_is_not_looked_at(bench):
    bench.add("vda", content=CONFIG)
    assert metadata.find_disc(bench.host) is None


def test_nothing_there(bench, capsys):
    (bench.sys / "class" / "scsi_host" / "host0").mkdir(parents=True)
    assert run(bench) == 0
    assert "there is none" in capsys.readouterr().out
    assert not (bench.root / "run").exists()


def test_an_empty_disc_says_nothing(bench, disc):
    bench.add("sr0", content=CONFIG)
    assert run(bench) == 0
    assert not (bench.root / "run").exists()


def test_a_file(bench):
    (bench.root / "data").write_text("text")
    assert run(bench, "aws", f"file={bench.root}/data") == 0
    assert config(bench) == {"provider": "file", "userdata": "text"}


def test_a_disc_that_cannot_be_mounted(bench, monkeypatch):
    def refuse(call):
        raise OSError(19, "No such device")

    monkeypatch.setattr("sampan.guest.tool.metadata.kernel.mount", refuse)
    bench.add("sr0", content=CONFIG)
    with pytest.raises(AgentError, match=r"cannot mount .*/sr0: No such device"):
        run(bench)


def test_what_is_left_out_is_said(bench, disc, named, capsys):
    files, _ = disc
    bench.add("sr0", content=CONFIG)
    files["config"] = json.dumps({"../x": {"content": ""}, "hostname": {"content": "a b"}}).encode()
    assert run(bench) == 0
    said = capsys.readouterr().out
    assert "left out: '/../x'" in said
    assert "'a b' is no name for a host" in said
    assert named == []


def test_halves_of_characters_do_no_harm(bench, disc, named, capsys):
    files, _ = disc
    bench.add("sr0", content=CONFIG)
    half = {"content": "\ud800"}
    tree = {"\ud800": half, "a": half, "hostname": half, "userdata": {"entries": {}}}
    files["config"] = json.dumps(tree).encode()
    assert run(bench) == 0
    said = capsys.readouterr().out.encode().decode("ascii")
    assert said.count("left out") == 4
    assert named == []
    assert config(bench)["userdata"] == json.dumps(tree)


def test_a_name_the_kernel_refuses(bench, capsys, monkeypatch):
    def refuse(name):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("socket.sethostname", refuse)
    metadata.set_hostname("web")
    assert "cannot be called web: Operation not permitted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b"", {}),
        (b'{"local-hostname": "a", "instance-id": 7}', {"hostname": "a"}),
        (b"[1]", {}),
        (b"- x\n  local-hostname: deep\n", {}),
        (b"local-hostname: 'a'\r\n", {"hostname": "a"}),
        (b"\xff\xfe", {}),
    ],
)
def test_facts(data, facts):
    assert metadata.parse_facts(data) == facts


@pytest.mark.parametrize("data", [b"text", b"[]", b"7", b"[" * 100_000, b"\xff"])
def test_data_that_is_no_tree(data):
    assert metadata.parse_tree(data) is None


def test_only_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert metadata.read(str(tmp_path / "pipe")) == b""
    assert metadata.read(str(tmp_path)) == b""

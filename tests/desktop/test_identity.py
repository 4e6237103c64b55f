import json
from pathlib import Path

import pytest

from sampan.desktop.identity import identity, serve
from sampan.desktop.link import Link
from sampan.desktop.network import Options, connection
from sampan.machine import MachineSpec
from sampan.machine.storage import metadata
from sampan.net.runtime.service.httptalk import Request
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings

SPEC = MachineSpec(kernel=Path("k"), name="web", mac="52:54:00:01:02:03")


@pytest.fixture
def with_disc(tmp_path):
    """The machine with a disc of those bytes."""

    def equipped(disc):
        path = tmp_path / "data.iso"
        metadata.write(path, disc)
        return SPEC.__class__(kernel=SPEC.kernel, name="web", mac=SPEC.mac, discs=(path,))

    return equipped


def test_a_machine_without_data():
    found = identity(SPEC)
    assert (found.instance_id, found.hostname) == ("i-525400010203", "web")
    assert (found.user_data, found.public_keys) == (b"", ())


def test_a_tree(with_disc):
    keys = "ssh-ed25519 AAAA me\n\nssh-rsa BBBB you\n"
    tree = {
        "hostname": {"content": "db\n"},
        "ssh": {"perm": "0700", "entries": {"authorized_keys": {"content": keys}}},
    }
    data = json.dumps(tree).encode()
    found = identity(with_disc(metadata.disc(data)))
    assert found.hostname == "db"
    assert found.public_keys == ("ssh-ed25519 AAAA me", "ssh-rsa BBBB you")
    assert found.user_data == data


@pytest.mark.parametrize("data", [b"#cloud-config\n", b"\xff", b"[]", b'{"hostname": 3}', b"{" * 9])
def test_any_text_will_do(with_disc, data):
    found = identity(with_disc(metadata.nocloud(data)))
    assert (found.user_data, found.hostname) == (data, "web")


def test_a_disc_that_is_gone(caplog):
    spec = MachineSpec(kernel=Path("k"), name="web", mac=SPEC.mac, discs=(Path("/nowhere"),))
    assert identity(spec).user_data == b""
    assert "no metadata is served from /nowhere" in caplog.text


def test_its_network_tells(with_disc):
    machine = bytes([192, 168, 65, 3])
    with UserNetwork(Settings(hosts_files=())) as network:
        serve(network, with_disc(metadata.disc(b"hello")))

        def ask(path):
            request = Request(machine=machine, method="GET", path=path)
            return network.call(lambda inner: inner.metadata.answer(request)).body

        assert ask("/latest/user-data") == b"hello"
        assert ask("/latest/meta-data/hostname") == b"web"


def test_a_machine_on_a_network_of_its_own_is_told(monkeypatch):
    told = []
    monkeypatch.setattr("sampan.desktop.identity.serve", lambda network, spec: told.append(spec))
    with connection(SPEC, Options(link=Link.STREAM)):
        assert [each.name for each in told] == ["web"]

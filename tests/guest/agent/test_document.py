import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.guest.agent import document
from sampan.guest.agent.document import parse_config, parse_runtime
from sampan.guest.agent.fault import DocumentError

FULL = {
    "cgroups": ["/systemd", "a/b"],
    "mounts": [
        {"destination": "/run/q", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        {"destination": "x"},
    ],
    "mkdir": ["/var/lib/s"],
    "interfaces": [
        {"name": "eth1"},
        {"name": "wg0", "add": "wireguard", "createInRoot": True},
        {"name": "v", "add": "veth", "peer": "w"},
    ],
    "bindNS": {"net": "/run/netns/x", "mnt": "", "pid": "/run/pidns"},
    "namespace": "mine",
}


def test_everything_is_read():
    runtime = parse_runtime(json.dumps(FULL).encode(), "r")
    assert runtime.cgroups == ("/systemd", "a/b")
    assert [(m.destination, m.type, m.source, m.options) for m in runtime.mounts] == [
        ("/run/q", "tmpfs", "tmpfs", ("mode=755",)),
        ("x", "", "", ()),
    ]
    assert runtime.mkdir == ("/var/lib/s",)
    assert [(i.name, i.add, i.peer, i.create_in_root) for i in runtime.interfaces] == [
        ("eth1", "", "", False),
        ("wg0", "wireguard", "", True),
        ("v", "veth", "w", False),
    ]
    assert runtime.bind_namespaces == (("net", "/run/netns/x"), ("pid", "/run/pidns"))
    assert runtime.namespace == "mine"
    assert runtime.needs_process


@pytest.mark.parametrize("text", ["{}", '{"mounts": null, "bindNS": null, "interfaces": []}'])
def test_nothing_to_do(text):
    runtime = parse_runtime(text.encode(), "r")
    assert not runtime.needs_process
    assert runtime.mounts == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r: not JSON"),
        ("[]", "r: not a JSON object"),
        ("[" * 100_000, "r: not JSON"),
        ('{"bindNS": {"net": "\\ud800"}}', "r: not JSON: 'utf-8' codec can't encode"),
        ('{"mounts": 3}', "r: mounts is not a list"),
        ('{"mounts": [3]}', "r: mounts[0] is not an object"),
        ('{"mounts": [{}]}', "r: mounts[0]: a mount needs a destination"),
        ('{"mounts": [{"destination": 1}]}', "destination is not a string"),
        ('{"mkdir": [1]}', "r: mkdir is not a list of strings"),
        ('{"bindNS": {"net": []}}', "r: bindNS: net is not a string"),
        ('{"interfaces": [{}]}', "interfaces[0]: '' is no name of an interface"),
        ('{"interfaces": [{"name": "a-name-far-too-long"}]}', "is no name of an interface"),
        ('{"interfaces": [{"name": "a", "createInRoot": 1}]}', "is not true or false"),
    ],
)
def test_faults_say_where(text, message):
    with pytest.raises(DocumentError) as caught:
        parse_runtime(text.encode(), "r")
    assert message in str(caught.value)


def test_documents_are_bounded():
    with pytest.raises(DocumentError, match="larger than"):
        parse_runtime(b" " * (document.SIZE_LIMIT + 1), "r")


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(data):
    for parse in (parse_runtime, parse_config):
        with contextlib.suppress(DocumentError):
            parse(data, "r")


def test_config_defaults():
    config = parse_config(b'{"root": {"path": "rootfs"}}', "c")
    assert (config.root, config.restart, config.on_failure) == ("rootfs", "on-failure", "continue")


def test_config_annotations():
    annotations = {"dev.sampan.restart": "always", "dev.sampan.onfailure": "stop", "other": "x"}
    config = parse_config(json.dumps({"annotations": annotations}).encode(), "c")
    assert (config.restart, config.on_failure) == ("always", "stop")
    assert config.raw == {"annotations": annotations}


def test_config_with_an_unknown_choice():
    with pytest.raises(DocumentError, match="'maybe', not one of no, on-failure, always"):
        parse_config(b'{"annotations": {"dev.sampan.restart": "maybe"}}', "c")

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine import qmp

GREETING = b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": ["oob"]}}\r\n'
AGREED = b'{"return": {}, "id": 0}\r\n'


def ready():
    conversation = qmp.Conversation()
    conversation.data_received(GREETING + AGREED)
    conversation.data_to_send()
    conversation.events()
    return conversation


def sent(conversation):
    return [json.loads(line) for line in conversation.data_to_send().splitlines()]


def test_handshake():
    conversation = qmp.Conversation()
    assert conversation.data_to_send() == b""
    conversation.data_received(GREETING)
    assert conversation.events() == []
    assert sent(conversation) == [{"execute": "qmp_capabilities", "id": 0}]
    conversation.data_received(AGREED)
    assert conversation.events() == [qmp.Ready("7.2.22")]
    assert conversation.data_to_send() == b""


def test_commands_overlap_and_replies_carry_their_id():
    conversation = ready()
    first = conversation.command("query-status")
    second = conversation.command("device_del", {"id": "net0"})
    assert sent(conversation) == [
        {"execute": "query-status", "id": first},
        {"execute": "device_del", "id": second, "arguments": {"id": "net0"}},
    ]
    conversation.data_received(
        b'{"error": {"class": "DeviceNotFound", "desc": "gone"}, "id": %d}\n' % second
        + b'{"return": {"status": "running"}, "id": %d}\n' % first
    )
    assert conversation.events() == [
        qmp.Failure(second, "DeviceNotFound", "gone"),
        qmp.Reply(first, {"status": "running"}),
    ]


def test_notices():
    conversation = ready()
    conversation.data_received(
        b'{"timestamp": {"seconds": 2, "microseconds": 500000}, "event": "SHUTDOWN",'
        b' "data": {"guest": true, "reason": "guest-shutdown"}}\n{"event": "STOP"}\n'
    )
    assert conversation.events() == [
        qmp.Notice("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}, 2.5),
        qmp.Notice("STOP", {}, 0.0),
    ]


def test_command_before_ready_is_our_fault():
    with pytest.raises(qmp.LocalProtocolError):
        qmp.Conversation().command("cont")


@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0-OpenSSH\n",
        b"[]\n",
        b"{}\n",
        b'{"QMP": 3}\n',
        GREETING * 2,
        b'{"return": {}, "id": 99}\n',
        b'{"return": {}}\n',
        b'{"event": 5}\n',
        b'{"error": {"class": "x", "desc": "no"}, "id": 0}\n',
        b"\xff\xfe\n",
        b'{"return": ' + b"[" * 100_000 + b"\n",
    ],
)
def test_a_peer_that_is_wrong_costs_one_exception(line):
    with pytest.raises(qmp.RemoteProtocolError):
        qmp.Conversation().data_received(line)


def test_a_message_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(qmp, "MAX_MESSAGE_BYTES", 1000)
    conversation = qmp.Conversation()
    conversation.data_received(b'{"QMP": "' + b"x" * 900)
    with pytest.raises(qmp.RemoteProtocolError, match="longer than 1000"):
        conversation.data_received(b"x" * 200)


@given(st.lists(st.integers(1, 40), max_size=20))
def test_pieces_make_no_difference(sizes):
    stream = GREETING + AGREED + b'\n{"event": "STOP"}\r\n{"event": "RESUME", "data": {}}\n'
    conversation = qmp.Conversation()
    for size in sizes:
        conversation.data_received(stream[:size])
        stream = stream[size:]
    conversation.data_received(stream)
    assert conversation.events() == [
        qmp.Ready("7.2.22"),
        qmp.Notice("STOP", {}, 0.0),
        qmp.Notice("RESUME", {}, 0.0),
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_remote_error(data):
    with suppress(qmp.RemoteProtocolError):
        ready().data_received(data + b"\n")

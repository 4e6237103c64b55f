"""The loop with a caller in the same process; programs and copies are in tests/machine/agent."""

import json
import os
import socket

import pytest

from sampan.base.agent import session
from sampan.base.agent.session import Caller
from sampan.guest.remote.place import Place
from sampan.guest.remote.server import Agent


class Conversation:
    """A caller at one end of a socket, the agent in a process of its own at the other."""

    def __init__(self, fail_clock=False):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(60)
        self.pid = os.fork()
        if self.pid == 0:
            self._serve(theirs, fail_clock)
        theirs.close()
        self.caller = Caller(lambda: os.urandom(16))
        self.events = []

    def _serve(self, theirs, fail_clock):
        self.socket.close()
        theirs.setblocking(False)

        def set_clock(wall_s):
            if fail_clock:
                raise PermissionError(1, "Operation not permitted")

        try:
            Agent(theirs.fileno(), Place(None), set_clock=set_clock, info=b"info").run()
        finally:
            os._exit(7)

    def wait_for(self, kind, channel=0):
        """Talk until there was such an event."""
        while True:
            for event in self.events:
                if (event.kind, event.channel) == (kind, channel):
                    self.events.remove(event)
                    return event
            if data := self.caller.data_to_send():
                self.socket.sendall(data)
            self.caller.received(self.socket.recv(1 << 16))
            self.events += self.caller.events()

    def call(self, method, **params):
        body = json.dumps({"method": method, "params": params}).encode()
        return self.caller.open(body)

    def answer(self, channel):
        return json.loads(self.wait_for(session.ANSWERED, channel).data)

    def close(self):
        self.socket.close()
        _, raw = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(raw)


@pytest.fixture
def conversation():
    there = Conversation()
    there.caller.hello()
    assert there.wait_for(session.UP).data == b"info"
    yield there
    assert there.close() == 7


def test_calls_that_take_no_time(conversation):
    assert conversation.answer(conversation.call("ping")) == {"result": {}}
    clock = conversation.answer(conversation.call("clock", wall_s=0.0))
    assert clock["result"]["stepped_s"] < -1e9
    assert "ports" in conversation.answer(conversation.call("ports"))["result"]


@pytest.mark.parametrize(
    ("method", "params", "why"),
    [
        ("dance", {}, "no method 'dance'"),
        ("clock", {"wall_s": "now"}, "wall_s is not a float"),
        ("exec", {"terminal": 1}, "terminal is not a bool"),
    ],
)
def test_calls_that_are_refused(conversation, method, params, why):
    assert why in conversation.answer(conversation.call(method, **params))["error"]


def test_a_clock_that_cannot_be_set():
    there = Conversation(fail_clock=True)
    there.caller.hello()
    there.wait_for(session.UP)
    assert "not permitted" in there.answer(there.call("clock", wall_s=1.0))["error"]
    there.close()


def test_a_program_is_answered_for_when_all_it_said_is_on_its_way(conversation):
    channel = conversation.call("exec", argv=["sh", "-c", "head -c 400000 /dev/zero; exit 2"])
    size = 0
    while size < 400_000:
        event = conversation.wait_for(session.RECEIVED, channel)
        size += len(event.data)
        conversation.caller.consumed(channel, len(event.data))
    assert conversation.answer(channel) == {"result": {"code": 2}}


def test_who_is_left_behind_holds_nothing_up(conversation):
    channel = conversation.call("exec", argv=["sh", "-c", "sleep 600 & echo done"])
    assert conversation.wait_for(session.RECEIVED, channel).data == b"done\n"
    assert conversation.answer(channel) == {"result": {"code": 0}}


def test_a_program_that_ignores_the_polite_signal_is_killed(conversation):
    argv = ["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done"]
    channel = conversation.call("exec", argv=argv)
    pid = int(conversation.wait_for(session.RECEIVED, channel).data)
    conversation.caller.reset(channel)
    wait = ["sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.1; done"]
    assert conversation.answer(conversation.call("exec", argv=wait)) == {"result": {"code": 0}}


def test_notes_that_make_no_sense(conversation):
    channel = conversation.call("exec", argv=["cat"], input=True)
    for note in (b"{}", b"x", b'{"signal":999}', b'{"rows":"x"}', b'{"rows":1}'):
        conversation.caller.note(channel, note)
    conversation.caller.send(channel, 0, b"alive")
    assert conversation.wait_for(session.RECEIVED, channel).data == b"alive"
    conversation.caller.note(channel, b'{"signal":9}')
    assert conversation.answer(channel) == {"result": {"code": 137}}


def test_input_for_who_has_none(conversation):
    channel = conversation.call("exec", argv=["sleep", "0.2"])
    conversation.caller.send(channel, 0, bytes(session.WINDOW))
    conversation.wait_for(session.ROOM, channel)
    assert conversation.answer(channel) == {"result": {"code": 0}}

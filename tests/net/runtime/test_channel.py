import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime import channel

SERVICE = Endpoint(bytes([169, 254, 169, 254]), 80)


class Talk:
    """Answers with what it heard, backwards; says `answer` first."""

    def __init__(self, conversation, greeting=b"", close=False):
        self.conversation = conversation
        self.told = []
        if greeting:
            conversation.write(greeting)
        if close:
            conversation.close()

    def received(self, data):
        self.told.append(data)
        self.conversation.write(data[::-1])

    def finished(self):
        self.told.append("finished")
        self.conversation.close()

    def gone(self):
        self.told.append("gone")


@pytest.fixture
def serve(net):
    """Serves conversations as `Talk`; what it returns collects them."""

    def make(**options):
        talks = []

        def begin(conversation):
            talks.append(Talk(conversation, **options))
            return talks[-1]

        net.outbound.serve(SERVICE, begin)
        return talks

    return make


def test_a_conversation(net, serve):
    talks = serve()
    connection = net.machine.connect(SERVICE).send(b"text")
    net.until(lambda: connection.data == b"txet")
    connection.finish()
    net.until(lambda: connection.is_ended)
    assert talks[0].told == [b"text", "finished", "gone"]
    assert talks[0].conversation.flow.remote == SERVICE
    net.advance(10)
    assert net.engine.stack.flows == ()


def test_who_speaks_first_is_heard_once_the_handshake_is_over(net, serve):
    serve(greeting=b"hello", close=True)
    connection = net.machine.connect(SERVICE)
    net.until(lambda: connection.is_ended)
    assert connection.data == b"hello"


def test_it_may_be_closed_at_once(net, serve):
    serve(close=True)
    connection = net.machine.connect(SERVICE)
    net.until(lambda: connection.is_ended)
    assert connection.state == "open"


def test_more_than_the_machine_takes_waits_for_it(net, serve):
    text = bytes(range(250)) * 1000
    serve(greeting=text, close=True)
    connection = net.machine.connect(SERVICE, window=1000)
    net.settle()
    assert 0 < len(connection.data) < len(text)
    connection.open_window(65535)
    net.until(lambda: connection.is_ended)
    assert connection.data == text


def test_a_machine_that_takes_nothing_is_cut_off(net, serve, monkeypatch):
    monkeypatch.setattr(channel, "MAX_UNSENT", 5000)
    talks = serve(greeting=b"x" * 4000)
    connection = net.machine.connect(SERVICE, window=0)
    net.settle()
    assert connection.state == "open"
    talks[0].conversation.write(b"x" * 2000)
    talks[0].conversation.write(b"more")
    net.settle()
    assert connection.state == "reset"
    assert talks[0].told == ["gone"]


def test_who_says_too_much_at_once_is_told_that_it_is_over(net, serve, monkeypatch):
    monkeypatch.setattr(channel, "MAX_UNSENT", 5000)
    talks = serve(greeting=b"x" * 6000)
    connection = net.machine.connect(SERVICE)
    net.until(lambda: connection.state == "reset")
    net.settle()
    assert talks[0].told == ["gone"]


def test_the_machine_breaks_off(net, serve):
    talks = serve(greeting=b"hello")
    connection = net.machine.connect(SERVICE)
    net.settle()
    connection.reset()
    net.settle()
    assert talks[0].told == ["gone"]
    talks[0].conversation.write(b"to nobody")
    talks[0].conversation.close()


def test_much_is_heard_in_pieces_with_turns_for_others(net, serve, monkeypatch):
    monkeypatch.setattr(channel, "PIECE", 100)
    talks = serve()
    net.machine.connect(SERVICE).send(bytes(range(250)) * 4).finish()
    net.until(lambda: talks and "finished" in talks[0].told)
    *pieces, end = talks[0].told[: talks[0].told.index("finished") + 1]
    assert {len(each) for each in pieces} == {100}
    assert b"".join(pieces) == bytes(range(250)) * 4
    assert end == "finished"


def test_who_does_not_take_answers_is_not_heard(net, serve, monkeypatch):
    monkeypatch.setattr(channel, "PIECE", 100)
    monkeypatch.setattr(channel, "ENOUGH", 300)
    talks = serve()
    connection = net.machine.connect(SERVICE, window=0)
    net.until(lambda: connection.state == "open")
    connection.send(b"q" * 5000)
    net.settle()
    assert len(b"".join(talks[0].told)) == 300
    connection.open_window(65535)
    net.until(lambda: len(connection.data) == 5000)
    assert connection.state == "open"


def test_what_comes_behind_the_end_is_dropped(net, serve):
    talks = serve(close=True)
    connection = net.machine.connect(SERVICE).send(b"x" * 5000)
    net.until(lambda: connection.is_ended)
    assert talks[0].told == []
    assert all(not flow.pending for flow in net.engine.stack.flows)


def test_a_service_that_fails_later_costs_its_conversation(net, monkeypatch, caplog):
    monkeypatch.setattr(channel, "PIECE", 2)

    class Failing(Talk):
        def received(self, data):
            if data == b"cd":
                raise ZeroDivisionError
            super().received(data)

    talks = []

    def begin(conversation):
        talks.append(Failing(conversation))
        return talks[-1]

    net.outbound.serve(SERVICE, begin)
    connection = net.machine.connect(SERVICE).send(b"abcdef")
    net.until(lambda: connection.state == "reset")
    assert talks[0].told == [b"ab", "gone"]
    assert "ZeroDivisionError" in caplog.text

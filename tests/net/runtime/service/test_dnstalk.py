import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service.dnstalk import IDLE_S, DnsTalk
from sampan.net.services.dnsmodel import Client
from sampan.net.services.dnsstream import frame

SERVICE = Endpoint(bytes([192, 168, 65, 1]), 5300)


class Server:
    def __init__(self):
        self.asked = []
        self.ended = []
        self.talk = None

    def query(self, data, client, now):
        self.asked.append((data, client))

    def talk_ended(self, number):
        self.ended.append(number)


@pytest.fixture
def server(net):
    server = Server()

    def begin(conversation):
        server.talk = DnsTalk(server, net.loop, conversation, 7)
        return server.talk

    net.outbound.serve(SERVICE, begin)
    return server


def test_answers_after_the_machine_has_finished(net, server):
    connection = net.machine.connect(SERVICE)
    connection.send(frame(b"one") + frame(b"two")).finish()
    net.until(lambda: len(server.asked) == 2)
    client = Client(
        connection.own.address, connection.own.port, over_tcp=True, connection=7, link=1
    )
    assert server.asked == [(b"one", client), (b"two", client)]
    server.talk.reply(b"second")
    net.until(lambda: connection.data == frame(b"second"))
    assert not connection.is_ended
    server.talk.reply(b"first")
    net.until(lambda: connection.is_ended)
    net.until(lambda: server.ended == [7])


def test_silence_ends_it(net, server):
    connection = net.machine.connect(SERVICE)
    net.until(lambda: connection.state == "open")
    net.advance(IDLE_S + 1)
    net.until(lambda: connection.is_ended)

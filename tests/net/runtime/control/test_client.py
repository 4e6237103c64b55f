import socket
import threading
from pathlib import Path

import msgspec
import pytest

from sampan.errors import DocumentError, SampanError, UsageError
from sampan.net.runtime.control import model
from sampan.net.runtime.control.client import Client, NotServedError
from sampan.net.runtime.control.fault import ControlError
from sampan.net.services.forward import Forward, parse


def test_what_can_be_read(client, network):
    assert client.info() == network.info()
    assert client.flows() == ()
    assert client.leases() == network.leases()
    assert client.links() == network.links()
    assert client.stats() == network.stats()
    assert "sampan_net_flows" in client.metrics()
    assert client.openapi()["openapi"] == "3.1.0"


def test_forwards(client, network):
    made = client.expose(*parse("8000-8002:80-82"), Forward(guest_port=22))
    assert client.forwards() == made == network.forwards()
    assert made[3].port == 40003
    assert client.unexpose(model.Place(port=8001)) == parse("8001:81")[0]
    with pytest.raises(ControlError, match="not forwarded") as caught:
        client.unexpose(model.Place(port=8001))
    assert caught.value.status == 404


def test_errors_are_those_of_the_network(client):
    with pytest.raises(ControlError) as taken:
        client.expose(Forward(port=7777, guest_port=80))
    assert (taken.value.status, taken.value.hint) == (409, "choose another port")
    with pytest.raises(UsageError):
        client.expose()
    with pytest.raises(DocumentError) as bad:
        client.replace_policy({"rules": [{}]})
    assert bad.value.problems[0].path == "policy.rules[0]"


def test_reservations(client):
    kept = client.reserve(model.Reservation(mac="02:00:00:00:00:09", name="db"))
    assert client.reservations() == (kept,)
    client.end_reservation(kept.mac)
    assert client.reservations() == ()


def test_names(client):
    client.add_name(model.NameRecord(name="a/b c", addresses=("192.168.65.9",)))
    assert client.names()[0].name == "a/b c"
    with pytest.raises(ControlError, match="there is no"):
        client.remove_name("x")


def test_places_where_machines_connect(client, network):
    assert client.add_link("qemu:/a b") == "qemu:/a b"
    client.remove_link("qemu:/a b")
    assert network.added == []
    with pytest.raises(ControlError, match="was not added"):
        client.remove_link("qemu:/a b")


def test_captures(client):
    record = client.start_capture(model.CaptureAsked(path="/tmp/x", filter="tcp"))
    assert client.captures() == (record,)
    client.stop_capture(record.id)
    assert client.captures() == ()


def test_policy(client):
    said = client.replace_policy({"default": "deny", "rules": [{"allow": "a.example"}]})
    assert client.policy() == said
    assert said.rules[0].allow == ("a.example",)


def test_events_that_were(client, network):
    for kind in ("a", "b", "c"):
        network.happen(kind)
    found = client.events(model.EventsAsked(after=1))
    assert [each.kind for each in found] == ["b", "c"]
    assert client.info().name == "test"


def test_events_that_follow(client, network, served):
    network.happen("a")
    found = client.events(model.EventsAsked(follow=True))
    assert next(found).kind == "a"
    served.loop.submit(lambda: network.happen("b", port=80))
    assert next(found).data == {"port": 80}
    found.close()


def test_capture_to_the_client(client, network, served):
    pieces = client.capture(model.CaptureStream(filter="port 80"))
    assert next(pieces) == b"pcapng of 'port 80'"

    def more():
        network.streams[0].waiting.append(b"more")
        network.streams[0].ended = True
        network.streams[0].wake()

    served.loop.submit(more)
    assert list(pieces) == [b"more"]
    assert network.streams[0].closed == 1


def test_http(client, network):
    client.view_http()
    assert network.views_http


def test_shutdown(client, network):
    client.shutdown()
    assert network.stopped == 1


def test_nothing_is_held(client, served):
    client.info()
    served.call(lambda: None)  # the client's end has been seen
    served.call(lambda: None)
    assert served.server._connections == set()


def test_nobody_listens(tmp_path):
    with pytest.raises(NotServedError) as caught:
        Client(tmp_path / "no").info()
    assert str(caught.value) == f"no network answers at {tmp_path / 'no'}"
    assert caught.value.hint.startswith("start one with sampan net serve")


@pytest.fixture
def impostor(tmp_path, monkeypatch):
    """Something else that listens at a socket, and says what it is told to."""
    monkeypatch.chdir(tmp_path)
    said: list[bytes] = []
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("a.sock")
    listening.listen()

    def serve():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(said[0])

    thread = threading.Thread(target=serve)
    thread.start()
    yield said
    thread.join(60)
    listening.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\nno",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_something_else_listens(impostor, answer):
    impostor.append(answer)
    with pytest.raises(SampanError, match=r"a\.sock"):
        Client(Path("a.sock"), timeout_s=60).info()


def test_a_network_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("a.sock")
        listening.listen()
        with pytest.raises(NotServedError, match="does not answer"):
            Client(Path("a.sock"), timeout_s=0.05).info()


def test_defaults_are_sent_too(client, network):
    """What is asked is what the client's types say, whatever the server's defaults."""
    network.listening.append(Forward(port=80, guest_port=80, bind="::1"))
    place = msgspec.convert({"bind": "::1", "port": 80}, model.Place)
    assert client.unexpose(place).bind == "::1"


def test_a_network_that_answers_before_it_is_asked(tmp_path, monkeypatch):
    """One that has too many clients says so and closes, maybe before we have sent anything."""
    monkeypatch.chdir(tmp_path)
    body = b'{"error": {"code": 1, "message": "too many"}}'
    answer = b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)

    def late(connection, data):
        connection.connect()
        raise BrokenPipeError

    monkeypatch.setattr("sampan.net.runtime.control.client._UnixConnection.send", late)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        listening.listen()

        def serve():
            with listening.accept()[0] as accepted:
                accepted.sendall(answer + body)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ControlError, match="too many"):
            Client(Path("s")).info()
        thread.join()

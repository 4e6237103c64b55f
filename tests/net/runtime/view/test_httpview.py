import errno
import json
import socket

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.view import httpview
from sampan.net.runtime.view.eventlog import EventLog
from sampan.net.runtime.view.flowtable import FlowTable
from sampan.net.runtime.view.harfile import HarFile, HarFileError
from sampan.net.runtime.view.httpview import HttpRecord, HttpView

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def events():
    return EventLog(lambda: 1000.0)


@pytest.fixture
def view(net, events):
    table = FlowTable(net.engine, lambda: 1000.0)
    found = HttpView(net.engine, table.number, events)
    net.outbound.watch_flow = found.watch
    yield found
    found.close()


@pytest.fixture
def talk(net, host_address):
    """Says something to a server of the host, which answers; leaves the connection open."""

    def talk(sent, received):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = net.machine.connect(Endpoint(host_address, listener.getsockname()[1]))
            net.until(lambda: connection.state == "open")
            peer, _ = listener.accept()
        net.closing.append(peer.close)
        connection.send(sent)
        peer.setblocking(False)
        net.until(lambda: _read(peer, len(sent)))
        peer.sendall(received)
        net.until(lambda: connection.data == received)
        return connection, peer

    return talk


def _read(peer, size):
    try:
        return len(peer.recv(size)) == size
    except BlockingIOError:
        return False


def test_an_exchange_is_seen(net, view, talk, events):
    told: list[HttpRecord] = []
    end = view.follow(told.append)
    connection, _ = talk(GET, OK)
    [record] = view.records
    assert told == [record]
    assert (record.flow, record.machine, record.server) == (1, "192.168.65.3", "192.168.65.254")
    assert record.server_port == connection.remote.port
    assert (record.exchange.url, record.exchange.status) == ("http://x/a", 200)
    assert record.exchange.connect_s is not None
    assert [each.kind for each in events.after()] == ["http.exchange"]
    assert events.after()[0].data == record
    end()
    end()
    talk(GET, OK)
    assert (len(told), len(view.records)) == (1, 2)


def test_events_have_no_credentials(view, talk, events):
    talk(GET.replace(b"Host", b"Cookie: a=b\r\nHost"), OK)
    assert view.records[0].exchange.request_fields[0] == ("Cookie", "a=b")
    assert events.after()[0].data.exchange.request_fields[0] == ("Cookie", "(hidden)")


def test_in_a_forward_the_machine_is_the_server(net, view):
    net.machine.listening.add(80)
    remote = Endpoint(bytes([192, 168, 65, 1]), 5)
    flow = net.engine.stack.open(Endpoint(net.machine.ip, 80), remote, net.now())
    tap = view.watch(flow)
    tap.received(GET.replace(b"Host: x\r\n", b""), 1.0)
    tap.sent(OK, 2.0)
    tap.ended(None, 3.0)
    [record] = view.records
    assert record.exchange.url == "http://192.168.65.3/a"
    assert record.exchange.status == 200
    assert (record.client, record.server, record.machine) == (
        "192.168.65.1", "192.168.65.3", "192.168.65.3",
    )  # fmt: skip


def test_without_a_host_the_address_is_named(view, talk):
    connection, _ = talk(GET.replace(b"Host: x\r\n", b""), OK)
    assert view.records[0].exchange.url == f"http://192.168.65.254:{connection.remote.port}/a"


def test_a_connection_that_ends_well(net, view, talk):
    connection, peer = talk(GET, b"HTTP/1.0 200 OK\r\n\r\nall of it")
    assert not view.records
    peer.close()
    net.until(lambda: connection.is_ended)
    connection.finish()
    net.until(lambda: view.records)
    assert view.records[0].exchange.cut == ""
    assert view.records[0].exchange.response_body_bytes == 9
    assert not view._taps


def test_a_connection_that_breaks(view, talk):
    connection, _ = talk(GET, OK[:-1])
    connection.reset()
    assert view.records[0].exchange.cut == "reset by the machine"
    assert not view._taps


def test_the_name_of_a_tls_server(view, talk, events):
    name = b"www.example.com"
    names = b"\0" + len(name).to_bytes(2, "big") + name
    extension = (
        b"\0\0" + (len(names) + 2).to_bytes(2, "big") + len(names).to_bytes(2, "big") + names
    )
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(extension).to_bytes(2, "big")
    hello = b"\1" + (len(body) + len(extension)).to_bytes(3, "big") + body + extension
    talk(b"\x16\3\1" + len(hello).to_bytes(2, "big") + hello, b"\x16\3\3")
    [entry] = events.after(0, "tls.")
    assert entry.data.name == "www.example.com"
    assert not view.records


def test_too_many_flows_pass_unseen(view, talk, monkeypatch):
    monkeypatch.setattr(httpview, "MAX_FLOWS", 1)
    talk(GET, OK)
    talk(GET, OK)
    assert (len(view.records), view.unseen) == (1, 1)


def test_an_archive_is_written(view, talk, tmp_path):
    view.har = HarFile(tmp_path / "x.har", version="1", epoch_s=1000.0)
    talk(GET, OK)
    [entry] = json.loads((tmp_path / "x.har").read_bytes())["log"]["entries"]
    assert (entry["request"]["url"], entry["connection"]) == ("http://x/a", "1")
    view.close()
    talk(GET, OK)
    assert len(view.records) == 2


def test_an_archive_that_cannot_be_written_ends(view, talk, tmp_path, monkeypatch, caplog):
    view.har = file = HarFile(tmp_path / "x.har", version="1", epoch_s=1000.0)

    def full(*_, **__):
        raise HarFileError("no space left")

    monkeypatch.setattr(file, "add", full)
    talk(GET, OK)
    talk(GET, OK)
    file.close()
    assert caplog.text.count("no space left") == 1
    assert len(view.records) == 2


def test_connections_that_never_were_are_not_watched(net, view, monkeypatch):
    class Nowhere(socket.socket):
        def connect_ex(self, address):
            return errno.ENETUNREACH

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", Nowhere)
        first = net.machine.connect(Endpoint(bytes([192, 0, 2, 1]), 80))
        net.until(lambda: first.state != "opening" or net.machine.unreachable)
        assert view._taps == {}

        def fail(*_):
            raise OSError(errno.EMFILE, "Too many open files")

        patched.setattr(socket, "socket", fail)
        net.machine.unreachable.clear()
        net.machine.connect(Endpoint(bytes([192, 0, 2, 1]), 80))
        net.until(lambda: net.machine.unreachable)
    assert view._taps == {}

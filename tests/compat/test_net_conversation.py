"""Conversations with the Linux kernel as the machine: both ends' sockets are in the test."""

import dataclasses
import errno
import hashlib
import socket
import struct
import threading

import pytest

from sampan.net.services.gateway import GatewayForward

pytestmark = pytest.mark.compat
HOST = "192.168.65.254"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST
MB = 1 << 20


@pytest.fixture
def pair(machine, listener):
    """A connection: the machine's end and the host's."""
    inside = machine.connect(HOST, listener.getsockname()[1])
    outside, _ = listener.accept()
    outside.settimeout(60)
    with inside, outside:
        yield inside, outside


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def read_all(connection):
    """What comes until the other side says that it is all."""
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def test_the_machine_hears_the_end_and_goes_on_talking(pair, virtual_network):
    inside, outside = pair
    outside.sendall(b"all I say")
    outside.shutdown(socket.SHUT_WR)
    assert read_all(inside) == b"all I say"
    inside.sendall(b"but I go on")
    inside.shutdown(socket.SHUT_WR)
    assert read_all(outside) == b"but I go on"
    virtual_network.settled()


def test_the_host_hears_the_end_and_goes_on_talking(pair, virtual_network):
    inside, outside = pair
    inside.sendall(b"all I say")
    inside.shutdown(socket.SHUT_WR)
    assert read_all(outside) == b"all I say"
    outside.sendall(b"but I go on")
    outside.shutdown(socket.SHUT_WR)
    assert read_all(inside) == b"but I go on"
    virtual_network.settled()


def test_both_end_at_once(pair, virtual_network):
    for end in pair:
        end.sendall(b"bye")
        end.shutdown(socket.SHUT_WR)
    assert [read_all(end) for end in pair] == [b"bye", b"bye"]
    virtual_network.settled()


def test_the_end_comes_in_the_segment_with_the_last_data(pair):
    inside, outside = pair
    inside.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    inside.send(b"corked until the end")
    inside.shutdown(socket.SHUT_WR)
    assert read_all(outside) == b"corked until the end"


@pytest.mark.parametrize("who", ["machine", "host"])
def test_a_reset_reaches_the_other_side(pair, virtual_network, who):
    ending, other = pair if who == "machine" else reversed(pair)
    ending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    ending.close()
    with pytest.raises(ConnectionResetError):
        other.recv(1)
    virtual_network.settled()


@pytest.mark.parametrize("who", ["machine", "host"])
def test_a_reset_amid_a_stream_reaches_the_other_side(pair, virtual_network, who):
    ending, other = pair if who == "machine" else reversed(pair)
    sender = threading.Thread(target=_send_until_broken, args=(other,))
    sender.start()
    ending.recv(100_000)
    ending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    ending.close()
    sender.join(60)
    assert not sender.is_alive()
    virtual_network.settled()


def _send_until_broken(connection):
    try:
        while True:
            connection.sendall(bytes(65536))
    except OSError:
        return


def test_closing_with_unread_data_resets(pair, virtual_network):
    inside, outside = pair
    outside.sendall(b"never read")
    assert inside.recv(1, socket.MSG_PEEK) == b"n"
    inside.close()
    with pytest.raises(ConnectionResetError):
        outside.recv(1)
    virtual_network.settled()


def test_data_after_the_reader_is_gone_resets_the_writer(pair, virtual_network):
    inside, outside = pair
    outside.close()
    assert inside.recv(1) == b""
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        _send_for_ever(inside)
    inside.close()
    virtual_network.settled()


def _send_for_ever(connection):
    while True:
        connection.sendall(bytes(65536))


@pytest.mark.parametrize("who", ["machine", "host"])
def test_a_reader_that_stops_and_goes_on_gets_everything(pair, who):
    reader, writer = pair if who == "machine" else reversed(pair)
    data = hashlib.shake_256(b"seed").digest(8 * MB)
    sent = _send_until_full(writer, data)
    assert sent < len(data), "nothing held the writer back"
    rest = threading.Thread(target=_send_and_end, args=(writer, data[sent:]))
    rest.start()
    got = read_all(reader)
    rest.join(60)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def _send_until_full(writer, data):
    """Send until all buffers on the way are full and the window is closed; how much it was."""
    writer.settimeout(0.5)
    sent = 0
    try:
        while sent < len(data):
            sent += writer.send(data[sent : sent + 65536])
    except TimeoutError:
        writer.settimeout(60)
    return sent


def _send_and_end(connection, data):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def test_refused_is_refused_at_once(machine):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            machine.connect(HOST, bound.getsockname()[1])


def test_nobody_on_the_network_is_unreachable(machine):
    with pytest.raises(OSError, match="No route") as failure:
        machine.connect("192.168.65.77", 80)
    assert failure.value.errno == errno.EHOSTUNREACH


def test_many_ends_in_every_order(machine, virtual_network, listener):
    port = listener.getsockname()[1]
    for number in range(64):
        inside = machine.connect(HOST, port)
        outside, _ = listener.accept()
        first, second = (inside, outside) if number & 1 else (outside, inside)
        if number & 2:
            first.sendall(b"x")
        if number & 4:
            second.sendall(b"y")
        if number & 8:
            first.shutdown(socket.SHUT_WR)
        if number & 16:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if number & 32:
            first.shutdown(socket.SHUT_RD)
        first.close()
        second.close()
    virtual_network.settled()


def test_nobody_answers_on_the_host_side_as_if_nobody_answered_at_all(machine, virtual_network):
    """The machine's own patience ends it: no RST, no ICMP."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        waiting = [_begin_connecting(port) for _ in range(4)]  # its queue is full: SYNs are lost
        with machine.socket() as inside:
            inside.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
            with pytest.raises(TimeoutError):
                inside.connect((HOST, port))
            assert inside.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        for each in waiting:
            each.close()


def _begin_connecting(port):
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(("127.0.0.1", port))
    return connection


def test_a_machine_that_gives_up_connecting_leaves_nothing(virtual_network, machine, wait_until):
    network = virtual_network
    ledger = network.call(lambda assembly: assembly.engine.stack._ledger)
    ledger.limits = dataclasses.replace(ledger.limits, offer_s=0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        waiting = [_begin_connecting(port) for _ in range(4)]
        inside = machine.socket()
        inside.setblocking(False)
        assert inside.connect_ex((HOST, port)) == errno.EINPROGRESS
        wait_until(lambda: network.flows == 1, "flow")
        inside.close()  # silently, in SYN_SENT
        network.settled()
        for each in waiting:
            each.close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.168.65.1", errno.ECONNREFUSED),  # the gateway serves nothing on that port
        ("127.0.0.53", None),  # never leaves the machine
        ("169.254.1.1", errno.ECONNREFUSED),
        ("255.255.255.255", None),
    ],
)
def test_addresses_that_are_nobody(machine, address, expected):
    with machine.socket() as inside:
        failed = inside.connect_ex((address, 9))
    assert failed != 0
    if expected is not None:
        assert failed == expected


def test_ports_of_the_gateway_and_names_of_the_host(new_network, echo_port):
    forward = GatewayForward(external_port=8080, internal_ip="127.0.0.1", internal_port=echo_port)
    network = new_network(gateway_forwards=(forward,), host_names=("mac.lan",))
    machine = network.machine()
    with machine.connect("192.168.65.1", 8080) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    said = machine.run(["dig", "+short", "+time=20", "@192.168.65.1", "mac.lan"]).stdout
    assert said.split() == [HOST]

"""vsock between this host and Linux in a machine: one boot."""

import binascii
import hashlib
import os
import socket
import threading
import time

import pytest

from sampan.machine import Ending, Vsock
from sampan.machine.vsock import VsockRefusedError

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
ECHO, DIGEST, SOURCE, STUCK, NOBODY = 7, 9, 19, 23, 4711
MIB = 32
PATIENCE_S = 300


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Where links to the sockets are."""
    return tmp_path_factory.mktemp("vsock") / "vsock-state"


@pytest.fixture(scope="module")
def system(boot, state):
    wanted = Vsock(ports=(ECHO, DIGEST), folder=state)
    with boot("vsock", mem_mib=192, vsock=wanted) as running:
        assert peer(running, "serve") == "serving"
        yield running


def peer(system, words):
    """What the program in the guest prints."""
    return system.run(f"nsenter -t 1 -m -- python3.13 /etc/vsock_peer.py {words}").strip()


@pytest.fixture
def connect(system):
    """Connects to a port of the guest."""
    opened = []

    def connected(port):
        made = system.machine.vsock.connect(port, timeout_s=PATIENCE_S)
        made.settimeout(PATIENCE_S)
        opened.append(made)
        return made

    yield connected
    for each in opened:
        each.close()


def at(path):
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(PATIENCE_S)
    made.connect(str(path))
    return made


def read_all(connection):
    got = b""
    while data := connection.recv(1 << 20):
        got += data
    return got


def wait_for(condition):
    """What the device knows may come a moment after what its connections have shown."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def flood(connection):
    for _ in range(10_000):
        connection.send(bytes(1 << 16))


class Server:
    """A program of the host: answers each connection with what it hears, and an exclamation."""

    def __init__(self, listening):
        self._listening = listening
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with self._listening:
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    connection.settimeout(PATIENCE_S)
                    if (heard := connection.recv(100)) == b"end":
                        return
                    connection.sendall(heard.strip() + b"!")

    def end(self, path):
        with at(path) as last:
            last.sendall(b"end")
        self._thread.join()


def test_the_host_connects(connect):
    with connect(ECHO) as one:
        one.sendall(b"hello")
        assert one.recv(100) == b"hello"


def test_the_guest_connects(system):
    endpoint = system.machine.vsock
    server = Server(endpoint.listen(5000))
    assert peer(system, "call 5000 hello") == "hello!"
    server.end(endpoint.folder / "00000002.00001388")


def test_refusals(system, connect):
    with pytest.raises(VsockRefusedError):
        connect(NOBODY)
    assert peer(system, f"call {NOBODY} hello") == "Connection reset by peer"


def test_the_dialect_of_hyperkit(state, monkeypatch):
    monkeypatch.chdir(state)
    for name, greeting in (("connect", b"00000003.00000007\n"), ("guest.00000007", b"")):
        with at(name) as one:
            one.sendall(greeting + b"hello")
            assert one.recv(100) == b"hello"
    with at("connect") as one:
        one.sendall(b"00000003.%08x\n" % NOBODY)
        assert one.recv(100) == b""


def test_the_dialect_of_firecracker(system, state, monkeypatch):
    monkeypatch.chdir(state)
    with at("v.sock") as one:
        one.sendall(b"CONNECT 7\n")
        answer = one.recv(100).split()
        assert answer[0] == b"OK"
        assert int(answer[1]) >= 1 << 30
        one.sendall(b"hello")
        assert one.recv(100) == b"hello"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("v.sock_5001")
    listening.listen()
    server = Server(listening)
    assert peer(system, "call 5001 hello") == "hello!"
    server.end("v.sock_5001")


def test_the_host_says_all_and_goes_on_listening(connect):
    data = os.urandom(1 << 20) * 4
    with connect(DIGEST) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        assert read_all(one).decode() == f"{len(data)} {binascii.crc32(data)}\n"


def test_the_guest_says_all_and_goes_on_listening(system, connect):
    with connect(SOURCE) as one:
        one.sendall(b"1048576")
        assert read_all(one) == bytes(range(256)) * 4096
        one.sendall(b"after the end")
    system.run("until grep -q end /tmp/heard; do sleep 0.1; done")
    assert system.run("cat /tmp/heard; echo") == "after the end\n"


def test_a_lot_there_and_back_beside_one_that_is_stuck(connect):
    stuck = connect(STUCK)
    stuck.setblocking(False)
    with pytest.raises(BlockingIOError):
        flood(stuck)
    data = os.urandom(1 << 20)
    with connect(ECHO) as one:

        def send():
            for _ in range(MIB):
                one.sendall(data)
            one.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        heard, size = hashlib.md5(), 0
        while part := one.recv(1 << 20):
            heard.update(part)
            size += len(part)
        thread.join()
    assert size == MIB << 20
    assert heard.digest() == hashlib.md5(data * MIB).digest()


def test_many_at_once(system, connect):
    many = [connect(ECHO) for _ in range(60)]
    for number, each in enumerate(many):
        each.sendall(b"%d" % number)
    assert [int(each.recv(100)) for each in many] == list(range(60))
    endpoint = system.machine.vsock
    listening = endpoint.listen(5002)

    def serve():
        with listening:
            taken = [listening.accept()[0] for _ in range(100)]
            for each in taken:
                each.sendall(each.recv(100))
                each.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert peer(system, "dial 5002 100") == "all"
    thread.join()


def test_connections_end_in_the_device_too(system, connect):
    before = [connect(ECHO) for _ in range(5)]
    for each in before:
        each.shutdown(socket.SHUT_WR)
        assert read_all(each) == b""
    system.run("true")
    with connect(ECHO) as one:
        one.sendall(b"x")
        one.recv(1)
        # this one, perhaps the one that is stuck, and one that is ending
        wait_for(lambda: system.machine.vsock.connections <= 3)


def test_a_pause_ends_no_connection(system, connect):
    one = connect(ECHO)
    system.machine.execute("stop")
    one.sendall(b"in the meantime")
    system.machine.execute("cont")
    assert one.recv(100) == b"in the meantime"


def test_a_snapshot_keeps_listeners_and_ends_connections(system, connect, tmp_path):
    """The device is unplugged meanwhile, and the guest forgets its connections."""
    one = connect(ECHO)
    system.machine.snapshot(tmp_path / "snapshot")
    with connect(ECHO) as other:
        other.sendall(b"here again")
        assert other.recv(100) == b"here again"
    assert read_all(one) == b""


def test_a_guest_that_vanishes(system, state, connect):
    one = connect(ECHO)
    one.sendall(b"x")
    one.recv(1)
    assert system.machine.kill().ending is Ending.FORCED
    assert read_all(one) == b""
    wait_for(lambda: system.machine.vsock.connections == 0)

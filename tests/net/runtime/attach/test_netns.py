import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from sampan.base import proc
from sampan.errors import SampanError
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import NeighbourLearned
from sampan.net.runtime.attach import namespace, netns, tap
from sampan.net.runtime.attach.netns import Failure, Interface, attach, make

ADDRESS, GATEWAY = bytes([192, 168, 65, 9]), bytes([192, 168, 65, 1])
INTERFACE = Interface(address=ADDRESS, gateway=GATEWAY, mtu=9000, mac=b"\2\0\0\0\0\x09")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path(tap.DEVICE).exists() or shutil.which("unshare") is None,
    reason="takes root, /dev/net/tun and unshare",
)


@pytest.fixture
def start():
    """Starts a process in a network namespace of its own; `user`: and of another owner."""
    started: list[subprocess.Popen[bytes]] = []

    def go(*, user=False):
        options = ["--user", "--map-root-user"] if user else []
        process = subprocess.Popen(
            ["unshare", *options, "--net", "sh", "-c", "echo; exec cat /proc/net/fib_trie -"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline()  # it is there now
        started.append(process)
        return process

    yield go
    for each in started:
        each.stdin.close()
        each.kill()
        each.wait()
        each.stdout.close()


@needs_root
@pytest.mark.parametrize("user", [False, True], ids=["ours", "another owner's"])
def test_a_device_in_another_namespace(start, engine, user):
    process = start(user=user)
    link = attach(process.pid, INTERFACE)
    plug = engine.plug(link, name="tap")
    devices = Path(f"/proc/{process.pid}/net/dev").read_text()
    assert "tap0:" in devices
    routes = Path(f"/proc/{process.pid}/net/route").read_text().splitlines()
    assert any(line.startswith("tap0\t00000000\t0141A8C0") for line in routes)
    with pytest.raises(SampanError, match="cannot make the network device tap0"):
        attach(process.pid, INTERFACE)
    with pytest.raises(SampanError, match="cannot configure tap1") as caught:
        attach(process.pid, Interface(name="tap1", gateway=ADDRESS))
    assert caught.value.hint
    assert "tap1" not in Path(f"/proc/{process.pid}/net/dev").read_text()
    engine.unplug(plug)
    assert "tap0" not in Path(f"/proc/{process.pid}/net/dev").read_text()
    assert "tap0" not in Path("/proc/net/dev").read_text()


@needs_root
def test_the_kernel_there_speaks_to_the_network(start, engine):
    process = start()
    engine.plug(attach(process.pid, INTERFACE), name="tap")
    seen: set[bytes] = set()
    engine.observe(NeighbourLearned, lambda each, now: seen.add(each.address))
    engine.stack.send_datagram(
        Endpoint(GATEWAY, 1), Endpoint(ADDRESS, 9), b"who are you?", engine.loop.now()
    )
    for _ in range(200):
        engine.loop.run_once(0.02)
        if ADDRESS in seen:
            break
    assert ADDRESS in seen


class Told:
    """Stands for the kernel's side of configuring."""

    def __init__(self, error=None):
        self.calls = []
        self.error = error

    def __call__(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            if self.error and name == "add_address":
                raise self.error

        return call


@pytest.fixture
def told(monkeypatch):
    """A device that is only pretended; what the kernel is told of it."""
    made = Told()
    monkeypatch.setattr(netns, "Rtnetlink", made)
    monkeypatch.setattr(netns, "open_tap", lambda name, offload: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(socket, "if_nametoindex", {"lo": 1, "tap0": 2}.__getitem__)
    return made


def test_what_is_configured(told):
    os.close(make(INTERFACE))
    assert told.calls == [
        ("set_link", (1,), {"up": True}),
        ("set_link", (2,), {"mtu": 9000, "mac": INTERFACE.mac, "queue": netns.QUEUE}),
        ("add_address", (2, ADDRESS, 24), {}),
        ("set_link", (2,), {"up": True}),
        ("add_default_route", (2, GATEWAY), {}),
    ]


def test_what_is_left_to_others(told):
    os.close(make(Interface()))
    assert [name for name, _, _ in told.calls] == ["set_link", "set_link", "set_link"]


def test_a_device_that_cannot_be_configured_goes_again(told, monkeypatch):
    closed: list[int] = []
    real = os.close

    def close(fd):
        closed.append(fd)
        real(fd)

    monkeypatch.setattr(os, "close", close)
    told.error = OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    with pytest.raises(SampanError, match="cannot configure tap0: File exists"):
        make(INTERFACE)
    told.error = KeyError("ours")
    with pytest.raises(KeyError):
        make(INTERFACE)
    assert len(closed) == 2


def test_no_such_process():
    with pytest.raises(SampanError, match="no process"):
        attach(1 << 22, INTERFACE)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Our own namespace seems to be another owner's: a visitor has to go there, and must not."""
    monkeypatch.setattr(namespace, "_OWN_USER", str(tmp_path))
    return os.getpid()


def test_a_visitor_says_why_it_came_back(elsewhere):
    # joining the user namespace one is in already is an error
    with pytest.raises(SampanError, match="cannot enter the network of process") as caught:
        attach(elsewhere, INTERFACE)
    assert "as root" in caught.value.hint


def test_a_visitor_that_dies(elsewhere, monkeypatch):
    monkeypatch.setattr(netns, "VISITOR", "sampan.no.such.module")
    start = proc.start
    monkeypatch.setattr(
        proc, "start", lambda argv, **options: start(argv, stderr=subprocess.DEVNULL, **options)
    )
    with pytest.raises(SampanError, match="cannot enter"):
        attach(elsewhere, INTERFACE)


def test_an_interface_and_a_failure_travel():
    for value in (INTERFACE, Failure("no", None)):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value)) == value

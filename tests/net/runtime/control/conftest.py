"""A network that only remembers what it was told, and its control API on a socket."""

import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sampan.base.loop import Loop
from sampan.net.link.filter import compile_filter
from sampan.net.runtime.control import model
from sampan.net.runtime.control.api import table
from sampan.net.runtime.control.client import Client
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.control.message import Takeover
from sampan.net.runtime.control.network import Controlled
from sampan.net.runtime.control.server import Server
from sampan.net.runtime.forward.binding import PortTakenError
from sampan.net.runtime.forward.owner import Owner
from sampan.net.runtime.forward.table import NoSuchForwardError
from sampan.net.runtime.service.dhcp import LeaseRecord
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.services.forward import Forward
from sampan.net.services.policy import Policy

TAKEN = 7777


class Pieces:
    """A stream's source that is told what to give."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.waiting: list[bytes] = []
        self.ended = False
        self.closed = 0

    def pull(self) -> bytes:
        return self.waiting.pop(0) if self.waiting else b""

    def close(self) -> None:
        self.closed += 1


class FakeNetwork:
    """See `control.network.Controlled`. The first free port is 40000."""

    def __init__(self) -> None:
        self.listening: list[Forward] = []
        self.known: dict[str, model.NameRecord] = {}
        self.running: dict[str, model.CaptureRecord] = {}
        self.held = Policy()
        self.log: list[model.EventRecord] = []
        self.followers: list[Callable[[], None]] = []
        self.streams: list[Pieces] = []
        self.table: list[FlowRecord] = []
        self.stopped = 0
        self.kept: dict[str, model.Reservation] = {}
        self.views_http = False
        self.added: list[str] = []

    def info(self) -> model.NetworkRecord:
        return model.NetworkRecord(
            name="test", version="0", pid=1, subnet="192.168.65.0/24", gateway="192.168.65.1",
            host="192.168.65.254", prefix6="", mtu=1500, host_access="loopback",
        )  # fmt: skip

    def forwards(self) -> tuple[Forward, ...]:
        return tuple(self.listening)

    def expose(self, forward: Forward) -> Forward:
        if forward.port == TAKEN:
            raise PortTakenError(
                "port 7777/tcp is taken", owner=Owner(12, "nginx"), hint="choose another port"
            )
        if not forward.path and not forward.port:
            forward = msgspec.structs.replace(forward, port=40000 + len(self.listening))
        self.listening.append(forward)
        return forward

    def unexpose(self, forward: Forward) -> Forward:
        for each in self.listening:
            if (each.bind, each.port, each.path) == (forward.bind, forward.port, forward.path):
                self.listening.remove(each)
                return each
        raise NoSuchForwardError(f"port {forward.port} is not forwarded")

    def flows(self) -> tuple[FlowRecord, ...]:
        return tuple(self.table)

    def leases(self) -> tuple[LeaseRecord, ...]:
        return (
            LeaseRecord(
                address="192.168.65.3", mac="02:00:00:00:00:01", name="web", remaining_s=60.5
            ),
        )

    def links(self) -> tuple[model.LinkRecord, ...]:
        return (
            model.LinkRecord(
                id=1, name="qemu", mtu=1500, macs=("02:00:00:00:00:01",), frames=2, sent=120,
                received=240,
            ),
        )  # fmt: skip

    def add_link(self, asked: model.LinkAsked) -> model.LinkAsked:
        self.added.append(asked.listen)
        return asked

    def remove_link(self, asked: model.LinkAsked) -> None:
        if asked.listen not in self.added:
            raise NotFoundError(f"{asked.listen} was not added")
        self.added.remove(asked.listen)

    def stats(self) -> model.Stats:
        return model.Stats(uptime_s=3.5, counters={"tcp_opened": 7}, gauges={"flows": 2})

    def names(self) -> tuple[model.NameRecord, ...]:
        return tuple(self.known.values())

    def add_name(self, name: model.NameRecord) -> None:
        self.known[name.name] = name

    def remove_name(self, name: str) -> None:
        if self.known.pop(name, None) is None:
            raise NotFoundError(f"there is no name {name}")

    def reservations(self) -> tuple[model.Reservation, ...]:
        return tuple(self.kept.values())

    def reserve(self, asked: model.Reservation) -> model.Reservation:
        made = msgspec.structs.replace(asked, address=asked.address or "192.168.65.9")
        self.kept[asked.mac] = made
        return made

    def end_reservation(self, mac: str) -> None:
        if self.kept.pop(mac, None) is None:
            raise NotFoundError(f"nothing is reserved for {mac}")

    def captures(self) -> tuple[model.CaptureRecord, ...]:
        return tuple(self.running.values())

    def start_capture(self, asked: model.CaptureAsked) -> model.CaptureRecord:
        compile_filter(asked.filter)
        record = model.CaptureRecord(id="1", path=asked.path, filter=asked.filter)
        self.running[record.id] = record
        return record

    def stop_capture(self, capture: str) -> None:
        if self.running.pop(capture, None) is None:
            raise NotFoundError(f"there is no capture {capture}")

    def stream_capture(self, asked: model.CaptureStream, wake: Callable[[], None]) -> Pieces:
        self.streams.append(Pieces(wake))
        self.streams[-1].waiting.append(f"pcapng of {asked.filter!r}".encode())
        return self.streams[-1]

    def policy(self) -> Policy:
        return self.held

    def replace_policy(self, policy: Policy) -> None:
        self.held = policy

    def happen(self, kind: str, **data: Any) -> None:
        self.log.append(
            model.EventRecord(number=len(self.log) + 1, time_s=0.5, kind=kind, data=data)
        )
        for each in list(self.followers):
            each()

    def events(self, after: int, limit: int) -> list[model.EventRecord]:
        return self.log[after : after + limit]

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.followers.append(wake)
        return lambda: self.followers.remove(wake)

    def tunnel(self, asked: model.TunnelAsked) -> Takeover:
        return Takeover(take=partial(self._taken, f"{asked.ip}:{asked.port}"))

    def connect(self) -> Takeover:
        return Takeover(take=partial(self._taken, "link"))

    def _taken(self, what: str, connection: socket.socket, rest: bytes) -> None:
        with connection:
            connection.send(f"{what} {rest!r}".encode())

    def view_http(self) -> None:
        self.views_http = True

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


@pytest.fixture
def ask(network):
    """One request without a socket: `ask("GET", "/v1/network")`."""
    from sampan.net.runtime.control.message import Request

    controlled: Controlled = network
    answers = table(controlled)

    def call(method, path, body=b"", /, **query):
        return answers.answer(Request(method=method, path=path, query=query, body=body))

    return call


@pytest.fixture
def served(network, tmp_path, monkeypatch):
    """The API on a socket, its loop in a thread: `.path`, `.server`, `.call(work)`."""
    monkeypatch.chdir(tmp_path)  # a short path, whatever tmp_path is
    loop = Loop()
    path = Path("net/control.sock")
    server = Server(loop, path, table(network).answer)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield SimpleNamespace(
        path=path, server=server, loop=loop, call=lambda work: loop.submit(work).result(60)
    )
    loop.submit(server.close).result(60)
    loop.stop()
    thread.join(60)
    loop.close()


@pytest.fixture
def client(served):
    return Client(served.path, timeout_s=60)

"""Connections between a host and its guest over virtio-vsock: who they are, what is owed to them.

Theory of operation. The driver's packets come in through `packet_received`, which tells what
happened as events. What the host does comes in as calls: `connect`, `accept`, `passed_on`,
`said` and so on. What is to be sent goes out in two ways. Control packets wait until
`control_to_send` is asked; there is at most one entry for each connection, and a bounded number
of refusals. Data never waits here: whoever moves it asks a connection for its `room`, puts a
`data_header` in front of each packet, and tells by `data_sent`. Control goes first, always.

    host connects   REQUESTED ── RESPONSE ──→ OPEN ── we said SHUTDOWN both ──→ CLOSING
    guest connects  OFFERED ──── accept ────↗   │                                  │
                       └── refuse, RST ──→ ENDED ←── SHUTDOWN both, RST ───────────┘

Each direction ends by itself (`Shut`). A guest that has said both is answered with RST at
once, and forgotten; what it sent before may still be on its way to the host's program, which is
what `drained` is for: until it is called, the connection counts.

Bounds: `limit` connections; `LARGE` bytes of buffer for each while there are few of them,
`SMALL` from then on; `MAX_REFUSALS` packets beyond those of connections that wait for the
driver, after which `is_choked` asks for its own to be left where they are. A connection that the driver does not answer
within `REQUEST_S`, or does not let go within `CLOSING_S`, ends by itself.

It knows no rings, sockets or clocks: `now` is in seconds of any clock that only goes forward.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable

from sampan.vhost.core.vsock_connection import Connection, State
from sampan.vhost.core.vsock_event import (
    Arrived,
    Credited,
    Ended,
    Event,
    GuestDeaf,
    GuestFinished,
    Offered,
    Opened,
)
from sampan.vhost.core.vsock_packet import HEADER, HOST_CID, STREAM, Op, Packet, Shut

MAX_CONNECTIONS = 1024
MAX_REFUSALS = 256
LARGE, SMALL = 1 << 20, 128 << 10
FEW = 128
REQUEST_S = 10.0
CLOSING_S = 30.0
_FIRST_PORT = 1 << 30  # of the host's own; those below are for programs that listen
_LAST_PORT = (1 << 31) - 1
_REQUEST, _RESPONSE, _CREDIT, _SHUTDOWN, _RST = 1, 2, 4, 8, 16  # packets that are owed


class Switchboard:
    """All connections of one guest. `cid` is its address."""

    def __init__(self, cid: int, *, limit: int = MAX_CONNECTIONS) -> None:
        self.cid = cid
        self.limit = limit
        self._table: dict[tuple[int, int], Connection] = {}
        self._draining: set[Connection] = set()
        self._owing: deque[Connection] = deque()
        self._refusals: deque[Packet] = deque()
        self._deadlines: list[tuple[float, int, Connection]] = []
        self._serial = 0
        self._next_port = _FIRST_PORT
        self._handlers: dict[int, Callable[[Connection, Packet], Event | None]] = {
            Op.RESPONSE: self._response,
            Op.RST: self._reset,
            Op.SHUTDOWN: self._shutdown,
            Op.RW: self._data,
            Op.CREDIT_UPDATE: self._credit,
            Op.CREDIT_REQUEST: self._credit_request,
        }

    def __len__(self) -> int:
        """How many connections there are, with those that are being drained."""
        return len(self._table) + len(self._draining)

    @property
    def is_choked(self) -> bool:
        """Whether so much is owed that no more packets are to be taken from the driver."""
        return len(self._owing) + len(self._refusals) >= self.limit + MAX_REFUSALS

    # From the driver

    def packet_received(self, packet: Packet) -> Event | None:
        """Take in a packet: what happened, if anything did. Then send what is owed."""
        if (packet.source_cid, packet.target_cid, packet.kind) != (self.cid, HOST_CID, STREAM):
            self._refuse(packet)
            return None
        connection = self._table.get((packet.source_port, packet.target_port))
        if packet.op == Op.REQUEST:
            return self._requested(connection, packet)
        if connection is None or (handler := self._handlers.get(packet.op)) is None:
            self._refuse(packet)
            return None
        connection.outflow.told(packet.allocated, packet.forwarded)
        return handler(connection, packet)

    def _refuse(self, packet: Packet) -> None:
        if packet.op != Op.RST:
            self._refusals.append(
                Packet(
                    packet.target_cid, self.cid, packet.target_port, packet.source_port, 0,
                    packet.kind, Op.RST,
                )
            )  # fmt: skip

    def _requested(self, old: Connection | None, packet: Packet) -> Event | None:
        if old is not None:  # the guest has forgotten it: it may use its port again, next time
            self._owe(old, _RST)
            return self._end(old)
        if len(self) >= self.limit:
            self._refuse(packet)
            return None
        made = self._add(packet.source_port, packet.target_port, State.OFFERED)
        made.outflow.told(packet.allocated, packet.forwarded)
        return Offered(made)

    def _response(self, connection: Connection, _: Packet) -> Event | None:
        if connection.state is not State.REQUESTED:
            return self._abort(connection)
        connection.state, connection.deadline = State.OPEN, math.inf
        return Opened(connection)

    def _reset(self, connection: Connection, _: Packet) -> Event:
        return self._end(connection)

    def _shutdown(self, connection: Connection, packet: Packet) -> Event | None:
        if connection.state is State.REQUESTED:
            return self._abort(connection)
        news = Shut(packet.flags & Shut.BOTH) & ~connection.guest_said
        connection.guest_said |= news
        connection.is_mute |= bool(news & Shut.RECEIVE)
        if connection.guest_said == Shut.BOTH:
            return self._abort(connection)
        if news == Shut.SEND:
            return GuestFinished(connection)
        return GuestDeaf(connection) if news == Shut.RECEIVE else None

    def _data(self, connection: Connection, packet: Packet) -> Event | None:
        if connection.state is State.CLOSING:  # it was on its way
            return None
        fits = connection.inflow.arrived(packet.length)
        if connection.state is not State.OPEN or connection.guest_said & Shut.SEND or not fits:
            return self._abort(connection)
        if connection.said & Shut.RECEIVE:
            connection.inflow.passed_on(packet.length)
            return None
        return Arrived(connection)

    def _credit(self, connection: Connection, _: Packet) -> Event:
        self._owe_credit(connection)  # it may have less room itself from now on
        return Credited(connection)

    def _credit_request(self, connection: Connection, _: Packet) -> Event:
        if connection.state in (State.OPEN, State.CLOSING):
            self._owe(connection, _CREDIT)
        return Credited(connection)

    # From the host

    def connect(self, guest_port: int, now: float) -> Connection | None:
        """Ask the guest for a connection; None: there are too many already.

        `Opened` or `Ended` follows.
        """
        if len(self) >= self.limit or self.is_choked:
            return None
        while (guest_port, self._next_port) in self._table:
            self._advance()
        made = self._add(guest_port, self._next_port, State.REQUESTED)
        self._advance()
        self._owe(made, _REQUEST)
        self._set_deadline(made, now + REQUEST_S)
        return made

    def accept(self, connection: Connection) -> None:
        """Take what was `Offered`."""
        if connection.state is State.OFFERED:
            connection.state = State.OPEN
            self._owe(connection, _RESPONSE)

    def abort(self, connection: Connection) -> None:
        """Refuse what was `Offered`, or break it off; what was not passed on is lost."""
        if connection.state is not State.ENDED:
            self._abort(connection)
        self.drained(connection)

    def passed_on(self, connection: Connection, size: int) -> None:
        """So many bytes of the driver have gone to the host's program."""
        connection.inflow.passed_on(size)
        self._owe_credit(connection)

    def _owe_credit(self, connection: Connection) -> None:
        if connection.state is State.OPEN and connection.inflow.is_due(
            connection.outflow.allocated
        ):
            self._owe(connection, _CREDIT)

    def said(self, connection: Connection, what: Shut, now: float) -> None:
        """The host's program will send (`SEND`) or take (`RECEIVE`) no more.

        After both, `Ended` follows. What it sent has to be on its way already.
        """
        if connection.state is not State.OPEN or what | connection.said == connection.said:
            return
        connection.said |= what
        connection.is_mute |= bool(what & Shut.SEND)
        self._owe(connection, _SHUTDOWN)
        if connection.said == Shut.BOTH:
            connection.state = State.CLOSING
            self._set_deadline(connection, now + CLOSING_S)

    def drained(self, connection: Connection) -> None:
        """Nothing of an `Ended` connection is left to be passed on, or to be passed on to."""
        self._draining.discard(connection)

    # To the driver

    @property
    def has_control(self) -> bool:
        """Whether `control_to_send` has something."""
        return bool(self._owing or self._refusals)

    def control_to_send(self) -> bytes | None:
        """The next control packet; None: there is none."""
        while self._owing:
            connection = self._owing[0]
            packet = self._take_owed(connection)
            if not connection.owed:
                self._owing.popleft()
                connection.is_queued = False
            else:
                self._owing.rotate(-1)
            if packet is not None:
                return packet
        return self._refusals.popleft().emit() if self._refusals else None

    def _take_owed(self, connection: Connection) -> bytes | None:
        """A packet of one connection, in the order in which they make sense."""
        owed = connection.owed
        if owed & _RST:
            # a guest that has not heard of it need not hear of its end
            silent = owed & _REQUEST
            connection.owed = 0
            return None if silent else self._packet(connection, Op.RST)
        for one, op in (
            (_REQUEST, Op.REQUEST),
            (_RESPONSE, Op.RESPONSE),
            (_SHUTDOWN, Op.SHUTDOWN),
            (_CREDIT, Op.CREDIT_UPDATE),
        ):
            if owed & one:
                connection.owed &= ~(one | _CREDIT)  # each packet tells the credit
                return self._packet(connection, op)
        return None

    def _packet(self, connection: Connection, op: Op) -> bytes:
        inflow = connection.inflow
        inflow.promised()
        return HEADER.pack(
            HOST_CID, self.cid, connection.host_port, connection.guest_port, 0, STREAM, op,
            connection.said if op is Op.SHUTDOWN else 0, inflow.buffer, inflow.forwarded,
        )  # fmt: skip

    def data_header(self, connection: Connection, size: int) -> bytes:
        """The header of a packet with `size` bytes of data, which is on its way."""
        inflow = connection.inflow
        inflow.promised()
        return HEADER.pack(
            HOST_CID, self.cid, connection.host_port, connection.guest_port, size, STREAM, Op.RW,
            0, inflow.buffer, inflow.forwarded,
        )  # fmt: skip

    def data_sent(self, connection: Connection, size: int) -> None:
        """So much data is on its way, in packets; 0 < size <= `room`."""
        connection.outflow.sent(size)

    # Time, and the end

    def next_timer(self) -> float:
        """When `timer_fired` is wanted."""
        while self._deadlines and self._deadlines[0][2].deadline != self._deadlines[0][0]:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else math.inf

    def timer_fired(self, now: float) -> list[Event]:
        """End what the driver has not answered."""
        events: list[Event] = []
        while self.next_timer() <= now:
            events.append(self._abort(heapq.heappop(self._deadlines)[2]))
        return events

    def transport_reset(self) -> list[Event]:
        """The driver has forgotten everything, or is gone: so do we.

        What it has never heard of stays, and is asked for when there is a driver again.
        """
        self._refusals.clear()
        lost = [each for each in self._table.values() if not each.owed & _REQUEST]
        for each in self._owing:
            each.is_queued = each.state is State.REQUESTED and bool(each.owed & _REQUEST)
        self._owing = deque(each for each in self._owing if each.is_queued)
        for each in lost:
            each.owed = 0
        return [self._end(each) for each in lost]

    def _add(self, guest_port: int, host_port: int, state: State) -> Connection:
        made = Connection(guest_port, host_port, state, LARGE if len(self) < FEW else SMALL)
        self._table[guest_port, host_port] = made
        return made

    def _advance(self) -> None:
        self._next_port = _FIRST_PORT if self._next_port == _LAST_PORT else self._next_port + 1

    def _owe(self, connection: Connection, what: int) -> None:
        connection.owed |= what
        if not connection.is_queued:
            connection.is_queued = True
            self._owing.append(connection)

    def _set_deadline(self, connection: Connection, when: float) -> None:
        connection.deadline = when
        self._serial += 1
        heapq.heappush(self._deadlines, (when, self._serial, connection))

    def _abort(self, connection: Connection) -> Ended:
        """End it, and let the driver know."""
        self._owe(connection, _RST)
        return self._end(connection)

    def _end(self, connection: Connection) -> Ended:
        was_open = connection.state not in (State.REQUESTED, State.OFFERED)
        connection.state, connection.deadline = State.ENDED, math.inf
        del self._table[connection.guest_port, connection.host_port]
        self._draining.add(connection)
        return Ended(connection, was_open=was_open)

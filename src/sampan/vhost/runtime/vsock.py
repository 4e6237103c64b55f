"""vhost-user-vsock: connections between programs of the host and programs of a guest.

    program ⇄ Unix socket ⇄ VsockDevice ⇄ rings in the guest's memory ⇄ guest's driver

Data is copied once in each direction, by the kernel: `sendmsg` reads it from the guest's memory,
`recvmsg_into` writes it there, as much at a time as there is. Only what a program of the host is
too slow to take is kept here, within the credit of its connection; and what the guest is too slow
to take stays in the program's socket.

Sockets are watched for changes (`EDGE`), so that none has to be un- and rewatched while it waits
for credit.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias, assert_never

from sampan.base.loop import Alarm, Loop
from sampan.base.poller import CLOSED, EDGE, READ, WRITE
from sampan.vhost.core import vsock_event
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.ring import Ring
from sampan.vhost.core.session import Profile
from sampan.vhost.core.vsock import MAX_CONNECTIONS, Switchboard
from sampan.vhost.core.vsock_connection import Connection
from sampan.vhost.core.vsock_packet import Packet, Shut
from sampan.vhost.core.vsock_ring import RECEIVE_QUEUE, TRANSMIT_QUEUE, PacketReader, PacketWriter
from sampan.vhost.runtime.backend import Backend
from sampan.vhost.runtime.vsock_end import GONE, MOST_PIECES, Answer, HostEnd, views_of

TELL_S = 0.005  # each interrupt costs a guest more than a packet; these are not urgent
BATCHES = 8  # before others have their turn
MAX_ROOMS = 64  # buffers of the guest that one read may fill
_WATCHED = READ | CLOSED | EDGE

Dial: TypeAlias = Callable[[int], socket.socket | None]
"""A connection to whoever serves a port of the host, or None."""


class VsockDevice:
    """The device; `dial` connects the guest to the host's programs. All in the loop's thread."""

    def __init__(self, loop: Loop, cid: int, dial: Dial, limit: int = MAX_CONNECTIONS) -> None:
        self.profile = Profile(writable=(True, False), config=cid.to_bytes(8, "little"))
        self.cid = cid
        self._loop = loop
        self._dial = dial
        self._switchboard = Switchboard(cid, limit=limit)
        self._backend: Backend | None = None
        self._reader: PacketReader | None = None
        self._writer: PacketWriter | None = None
        self._bases: dict[int, int] = {}  # how far rings were when they stopped
        self._ends: dict[Connection, HostEnd] = {}
        self._readable: deque[HostEnd] = deque()
        self._is_settling = self._is_sending = False
        self._telling = Alarm(loop, self._tell_of_transmitted)
        self._deadline = Alarm(loop, self._deadline_passed)

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._ends)

    def connect(self, port: int, ours: socket.socket, answer: Answer) -> None:
        """Connect a socket, which is the device's from now on, to a port of the guest."""
        connection = self._switchboard.connect(port, self._loop.now())
        if connection is None:
            ours.close()
            answer(None)
            return
        self._adopt(connection, ours, answer)
        self._settle_soon()

    def reset(self) -> None:
        """The guest is gone."""
        self._bases.clear()
        self._act(self._switchboard.transport_reset())

    def close(self) -> None:
        """End all connections."""
        for end in tuple(self._ends.values()):
            end.forget()
            self._switchboard.abort(end.connection)
            self._drop(end)

    # See `Device`

    def connected(self, backend: Backend) -> None:
        """See `Device.connected`."""
        self._backend = backend

    def ring_started(self, index: int, ring: Ring, features: int) -> None:
        """See `Device.ring_started`. A ring that goes on is the same guest's; else forget all."""
        del features
        if self._bases.pop(index, ring.base) != ring.base:
            self.reset()
        if index == RECEIVE_QUEUE:
            self._writer = PacketWriter(ring)
            self._settle_soon()
        else:
            self._reader = PacketReader(ring)

    def ring_stopped(self, index: int) -> None:
        """See `Device.ring_stopped`. The machine may only be paused: connections stay."""
        stopped = self._writer if index == RECEIVE_QUEUE else self._reader
        if stopped is not None:
            self._bases[index] = stopped.ring.base
        if index == RECEIVE_QUEUE:
            self._writer = None
        else:
            self._reader = None

    def interrupted(self) -> None:
        """See `Device.interrupted`."""
        if self._writer is not None:
            self._writer.put_back()

    def mtu_set(self, mtu: int) -> None:
        """See `Device.mtu_set`: not for this device."""

    def moved(self, mac: bytes) -> None:
        """See `Device.moved`: not for this device."""

    def kicked(self, index: int, enabled: bool) -> None:
        """See `Device.kicked`."""
        if not enabled:
            return
        if index == TRANSMIT_QUEUE:
            self._transmit()
        else:
            self._receive()

    # From the guest

    def _transmit(self) -> None:
        """Take what the driver sends, a few batches at a time."""
        for _ in range(BATCHES):
            reader, backend = self._reader, self._backend
            if reader is None or backend is None or self._switchboard.is_choked:
                return
            reader.ring.wake()
            packets = reader.read()
            if not packets:
                if reader.ring.rest():
                    return
                continue
            self._take(packets)
            reader.give_back()
            if reader.silent >= reader.ring.size // 4:
                self._tell_of_transmitted()
            else:
                self._telling.set(self._loop.now() + TELL_S)
        self._transmit_soon()

    def _tell_of_transmitted(self) -> None:
        """Let the driver free the packets that it sent."""
        reader, backend = self._reader, self._backend
        if reader is not None and backend is not None and reader.silent and reader.must_notify():
            backend.notify(TRANSMIT_QUEUE)

    def _take(self, packets: list[tuple[Packet, list[memoryview]]]) -> None:
        """Handle a batch; data that follows data of the same connection is written with it."""
        received, ends = self._switchboard.packet_received, self._ends
        arrived = vsock_event.Arrived
        target: HostEnd | None = None
        waiting: list[memoryview] = []
        for packet, data in packets:
            event = received(packet)
            if type(event) is arrived:
                end = ends[event.connection]
                if end is not target or len(waiting) + len(data) > MOST_PIECES:
                    if target is not None:
                        self._deliver(target, waiting)
                    target, waiting = end, []
                waiting += data
                continue
            if target is not None:
                self._deliver(target, waiting)
                target, waiting = None, []
            if event is not None:
                self._act((event,))
        if target is not None:
            self._deliver(target, waiting)
        self._settle_soon()

    def _act(self, events: Iterable[vsock_event.Event]) -> None:
        for event in events:
            if isinstance(event, vsock_event.Offered):
                self._offered(event.connection)
                continue
            end = self._ends[event.connection]
            match event:
                case vsock_event.Opened():
                    end.tell(end.connection)
                    self._look(end)
                case vsock_event.Arrived() | vsock_event.Credited():
                    self._look(end)
                case vsock_event.GuestFinished() | vsock_event.Ended():
                    end.is_finished = True
                    self._flush(end)
                case vsock_event.GuestDeaf():
                    end.shut(socket.SHUT_RD)
                case _:
                    assert_never(event)

    def _offered(self, connection: Connection) -> None:
        ours = self._dial(connection.host_port)
        if ours is None:
            self._switchboard.abort(connection)
            return
        self._switchboard.accept(connection)
        self._adopt(connection, ours, None)

    def _deliver(self, end: HostEnd, data: list[memoryview]) -> None:
        """Write data to the program, or keep what it does not take."""
        size, was_blocked = sum(map(len, data)), bool(end.backlog)
        try:
            sent = end.write(data, size)
        except OSError:
            self._host_deaf(end, size)
            return
        if sent:
            self._switchboard.passed_on(end.connection, sent)
        if sent < size and not was_blocked:
            self._loop.change(end.fd, _WATCHED | WRITE)
        self._look(end)

    def _flush(self, end: HostEnd) -> None:
        """Write what is kept; when that was all, do what comes after it."""
        was_blocked = bool(end.backlog)
        try:
            self._switchboard.passed_on(end.connection, end.flush())
        except OSError:
            self._host_deaf(end, 0)
        if end.backlog:
            return
        if end.connection.is_over:
            self._drop(end)
            return
        if was_blocked:
            self._loop.change(end.fd, _WATCHED)
        if end.is_finished:
            end.shut(socket.SHUT_WR)

    def _host_deaf(self, end: HostEnd, lost: int) -> None:
        """The program takes no more: neither do we."""
        self._switchboard.passed_on(end.connection, lost + end.forget())
        self._switchboard.said(end.connection, Shut.RECEIVE, self._loop.now())
        self._settle_soon()

    # From the host

    def _adopt(self, connection: Connection, ours: socket.socket, answer: Answer | None) -> None:
        end = self._ends[connection] = HostEnd(connection, ours, answer)
        self._loop.watch(end.fd, _WATCHED, partial(self._host_ready, end))

    def _host_ready(self, end: HostEnd, events: int) -> None:
        if end.connection not in self._ends:
            return
        if events & READ | events & CLOSED | events & GONE:
            end.seen |= events & (CLOSED | GONE)
            end.is_readable = True
            self._look(end)
        if events & WRITE | events & GONE and end.backlog:
            self._flush(end)
            self._settle_soon()

    def _look(self, end: HostEnd) -> None:
        """See to it that what can be read is read."""
        if end.is_readable and not end.is_queued:
            end.is_queued = True
            self._readable.append(end)
            self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_settling:
            self._is_settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """At the end of a turn: send what is owed, and what programs have written."""
        self._is_settling = False
        try:
            self._receive()
        except RemoteProtocolError as error:
            self._fail(error)
        self._deadline.set(self._switchboard.next_timer())

    def _receive(self) -> None:
        writer, backend, switchboard = self._writer, self._backend, self._switchboard
        if writer is None or backend is None or not backend.session.is_enabled(RECEIVE_QUEUE):
            return
        was_choked, has_room = switchboard.is_choked, True
        for _ in range(BATCHES):
            while switchboard.has_control and has_room:
                has_room = self._send_control(writer)
            if self._readable and has_room:
                has_room = self._read(self._readable.popleft(), writer)
            if writer.give_back():
                backend.notify(RECEIVE_QUEUE)
            if not has_room or not (self._readable or switchboard.has_control):
                break
        else:
            self._settle_soon()
        if was_choked and not switchboard.is_choked:
            self._transmit_soon()

    def _send_control(self, writer: PacketWriter) -> bool:
        """Send one control packet. False: there is no room for it."""
        rooms = writer.rooms(1)
        if rooms and (packet := self._switchboard.control_to_send()) is not None:
            rooms[0].header[:] = packet
            writer.use(0)
        return bool(rooms)

    def _read(self, end: HostEnd, writer: PacketWriter) -> bool:
        """Read from a program into the guest's memory. False: there is no room there."""
        connection = end.connection
        if not (credit := connection.room):
            end.is_queued = False
            if connection.is_mute and end.seen & GONE and not connection.is_over:
                self._host_gone(end)
            return True
        rooms = writer.rooms(end.appetite)
        if not rooms:
            self._readable.appendleft(end)
            return False
        end.is_queued = False
        views, capacity = views_of(rooms, credit)
        try:
            size = end.socket.recvmsg_into(views)[0]
        except BlockingIOError:
            end.is_readable = False
            return True
        except OSError:  # the program closed its end, and left unread what we sent
            size, end.seen = 0, end.seen | GONE
        if not size:
            self._host_finished(end)
            return True
        end.appetite = writer.fill(size, partial(self._switchboard.data_header, connection))
        self._switchboard.data_sent(connection, size)
        if size == capacity:
            end.appetite = min(MAX_ROOMS, end.appetite * 4)
        end.is_queued = True
        self._readable.append(end)
        return True

    def _host_finished(self, end: HostEnd) -> None:
        """The program has written all it will."""
        if end.seen & GONE:
            self._host_gone(end)
        else:
            end.is_readable = False
            self._switchboard.said(end.connection, Shut.SEND, self._loop.now())

    def _host_gone(self, end: HostEnd) -> None:
        """The program has closed its end."""
        end.is_readable = False
        end.forget()
        self._switchboard.said(end.connection, Shut.BOTH, self._loop.now())
        self._loop.unwatch(end.fd)
        self._settle_soon()

    def _drop(self, end: HostEnd) -> None:
        """Close the host's end, which is all that is left."""
        self._loop.unwatch(end.fd)
        end.socket.close()
        del self._ends[end.connection]
        self._switchboard.drained(end.connection)
        end.tell(None)

    # Later

    def _transmit_soon(self) -> None:
        if not self._is_sending:
            self._is_sending = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_sending = False
        backend = self._backend
        try:
            if backend is not None and backend.session.is_enabled(TRANSMIT_QUEUE):
                self._transmit()
        except RemoteProtocolError as error:
            self._fail(error)

    def _deadline_passed(self) -> None:
        self._act(self._switchboard.timer_fired(self._loop.now()))
        self._settle_soon()

    def _fail(self, error: RemoteProtocolError) -> None:
        if self._backend is not None:
            self._backend.fail(error)

"""One front-end's session: from its messages to running rings.

Theory of operation. `message_received` changes the session's state, may leave an answer in
`data_to_send`, and tells what happened. Act on the events in their order, then send. Two of
them want something of the session before its next message: `MemoryOffered` (map it, then call
`memory_mapped`) and `LogOffered` (`log_mapped`).

A ring runs from the moment it has a kick descriptor until its base is asked for
(`GET_VRING_BASE`). It may do something only while it is enabled, too.

    SET_OWNER, features → memory → for each ring: NUM, BASE, ADDR, KICK → ENABLE 1
                                 → ... → ENABLE 0, GET_VRING_BASE → again from anywhere

Messages may come again at any time: another memory table (hot-plug), another call descriptor
(the machine masked an interrupt), addresses with logging switched on (the machine is moved).
What makes no sense raises `RemoteProtocolError`; then the session is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sampan.vhost.core import memory as memories
from sampan.vhost.core import message as messages
from sampan.vhost.core.dirty import DirtyLog
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.event import (
    CallSet,
    DescriptorDropped,
    Event,
    KickSet,
    LogOffered,
    MachineMoved,
    MemoryOffered,
    MtuSet,
    RingEnabled,
    RingsInterrupted,
    RingStarted,
    RingStopped,
)  # fmt: skip
from sampan.vhost.core.feature import Protocol, Virtio
from sampan.vhost.core.memory import Memory
from sampan.vhost.core.message import Message, Request, RingAddresses
from sampan.vhost.core.ring import MAX_SIZE, Fence, Layout, Ring

# plain numbers: the complement of a flag knows only the bits that have names
_ALWAYS = int(Virtio.VERSION_1 | Virtio.INDIRECT | Virtio.EVENT_INDEX | Virtio.ANY_LAYOUT)
_VHOST = int(Virtio.PROTOCOL_FEATURES | Virtio.LOG_ALL)
_MIN_MTU, _MAX_MTU = 68, 65535
_MAX_LOG = 1 << 31


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of device it is. `writable[i]`: whether the device writes ring i's buffers (None: see `Layout`)."""

    writable: tuple[bool | None, ...]
    features: int = 0  # of this kind of device; those of rings are added
    config: bytes = b""  # its configuration space, if the front-end is to ask for it
    is_network: bool = False  # it may be told an MTU, and to announce its machine


class _Slot:
    """A ring's place: what is known of it, and the ring while it runs."""

    __slots__ = ("addresses", "enabled", "index", "ring", "size")

    def __init__(self, index: int) -> None:
        self.index = index
        self.size = 0
        self.addresses: RingAddresses | None = None
        self.enabled = False
        self.ring: Ring | None = None


class Session:
    """A front-end's session with one device. `fence` orders memory: see `ring`."""

    def __init__(self, profile: Profile, fence: Fence) -> None:
        self._profile = profile
        self._fence = fence
        self._slots = tuple(_Slot(index) for index in range(len(profile.writable)))
        self._protocol = Protocol(0)
        self._memory: Memory | None = None
        self._log: DirtyLog | None = None
        self._out: list[bytes] = []
        self.features = 0
        self._handlers: dict[Request, Callable[[Message], list[Event]]] = {
            Request.GET_FEATURES: self._get_features,
            Request.SET_FEATURES: self._set_features,
            Request.SET_OWNER: self._nothing,
            Request.RESET_OWNER: self._nothing,
            Request.SET_MEM_TABLE: self._set_memory,
            Request.SET_LOG_BASE: self._set_log,
            Request.SET_LOG_FD: self._drop_fds,
            Request.SET_VRING_NUM: self._set_size,
            Request.SET_VRING_ADDR: self._set_addresses,
            Request.SET_VRING_BASE: self._set_base,
            Request.GET_VRING_BASE: self._get_base,
            Request.SET_VRING_KICK: self._set_kick,
            Request.SET_VRING_CALL: self._set_call,
            Request.SET_VRING_ERR: self._set_error,
            Request.GET_PROTOCOL_FEATURES: self._get_protocol_features,
            Request.SET_PROTOCOL_FEATURES: self._set_protocol_features,
            Request.SET_VRING_ENABLE: self._set_enable,
            Request.SEND_RARP: self._announce,
            Request.NET_SET_MTU: self._set_mtu,
            Request.GET_CONFIG: self._get_config,
            Request.SET_CONFIG: self._set_config,
        }

    # What is offered

    @property
    def offered(self) -> int:
        """The features of the device, its rings, and of vhost."""
        return int(self._profile.features) | _ALWAYS | _VHOST

    @property
    def offered_protocol(self) -> Protocol:
        """The features of the protocol."""
        offered = Protocol.REPLY_ACK | Protocol.LOG_SHARED
        if self._profile.config:
            offered |= Protocol.CONFIG
        if self._profile.is_network:
            offered |= Protocol.MTU | Protocol.ANNOUNCE
        return offered

    # What can be asked

    def ring(self, index: int) -> Ring | None:
        """The ring, while it runs."""
        return self._slots[index].ring

    def is_enabled(self, index: int) -> bool:
        """Whether the ring may do something."""
        return self._slots[index].enabled

    def has(self, feature: int) -> bool:
        """Whether a feature was negotiated."""
        return bool(self.features & feature)

    def data_to_send(self) -> bytes:
        """Answers, to be sent once the events of `message_received` have been acted on."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # What comes in

    def message_received(self, message: Message) -> list[Event]:
        """Take in a message. If it raises, its descriptors are still the caller's.

        Raises:
            RemoteProtocolError: it makes no sense; the session is over.
        """
        answered = len(self._out)
        events, status = self._handlers[message.request](message), 0
        if message.request is Request.NET_SET_MTU and not events:
            status = 1
        if (
            message.needs_reply
            and self._protocol & Protocol.REPLY_ACK
            and len(self._out) == answered
        ):
            self._out.append(messages.reply_number(message.request, status))
        return events

    def memory_mapped(self, memory: Memory) -> None:
        """What `MemoryOffered` named is there; look at all running rings again.

        Raises:
            RemoteProtocolError: a running ring is not in it.
        """
        self._memory = memory
        for slot in self._slots:
            if slot.ring is not None:
                slot.ring.rebind(memory)

    def log_mapped(self, log: DirtyLog) -> None:
        """What `LogOffered` named is there."""
        self._log = log
        self._apply_log()

    def end(self) -> None:
        """The session is over: let go of the machine's memory."""
        self._memory = self._log = None
        for slot in self._slots:
            slot.ring = None

    # Features

    def _get_features(self, _: Message) -> list[Event]:
        self._out.append(messages.reply_number(Request.GET_FEATURES, self.offered))
        return []

    def _set_features(self, message: Message) -> list[Event]:
        features = message.number()
        if features & ~self.offered:
            raise RemoteProtocolError(f"features {features & ~self.offered:#x} were not offered")
        changed = features ^ self.features
        running = any(slot.ring is not None for slot in self._slots)
        if running and changed & ~_VHOST:
            raise RemoteProtocolError("features of running rings cannot change")
        self.features = features
        if not features & Virtio.PROTOCOL_FEATURES:
            for slot in self._slots:
                slot.enabled = True
        if running and changed & Virtio.LOG_ALL:
            self._apply_log()
            return [RingsInterrupted()]
        return []

    def _get_protocol_features(self, _: Message) -> list[Event]:
        number = int(self.offered_protocol)
        self._out.append(messages.reply_number(Request.GET_PROTOCOL_FEATURES, number))
        return []

    def _set_protocol_features(self, message: Message) -> list[Event]:
        features = message.number()
        if features & ~int(self.offered_protocol):
            raise RemoteProtocolError(f"protocol features {features:#x} were not offered")
        self._protocol = Protocol(features)
        return []

    def _nothing(self, _: Message) -> list[Event]:
        return []

    def _set_mtu(self, message: Message) -> list[Event]:
        mtu = message.number()
        return [MtuSet(mtu)] if _MIN_MTU <= mtu <= _MAX_MTU else []

    def _announce(self, message: Message) -> list[Event]:
        return [MachineMoved(message.number().to_bytes(8, "little")[:6])]

    def _get_config(self, message: Message) -> list[Event]:
        offset, size = message.config()
        data = self._profile.config[offset : offset + size]
        if len(data) != size:
            data = b""
        self._out.append(messages.reply_config(Request.GET_CONFIG, offset, data))
        return []

    def _set_config(self, message: Message) -> list[Event]:
        raise RemoteProtocolError("no part of the configuration can be written")

    # Memory

    def _set_memory(self, message: Message) -> list[Event]:
        regions = message.regions()
        memories.check(regions)
        return [RingsInterrupted(), MemoryOffered(regions, message.fds)]

    def _set_log(self, message: Message) -> list[Event]:
        size, offset, fd = message.log()
        if not 0 < size <= _MAX_LOG or offset > memories.MAX_SIZE:
            raise RemoteProtocolError(f"a log of {size} bytes")
        self._out.append(messages.reply_number(Request.SET_LOG_BASE, 0))
        return [RingsInterrupted(), LogOffered(size, offset, fd)]

    def _drop_fds(self, message: Message) -> list[Event]:
        return [DescriptorDropped(fd) for fd in message.fds]

    def _apply_log(self) -> None:
        log = self._log if self.features & Virtio.LOG_ALL else None
        for slot in self._slots:
            if slot.ring is not None:
                slot.ring.log(log)

    # Rings

    def _slot(self, index: int) -> _Slot:
        if index >= len(self._slots):
            raise RemoteProtocolError(f"ring {index} of a device that has {len(self._slots)}")
        return self._slots[index]

    def _set_size(self, message: Message) -> list[Event]:
        index, size = message.state()
        slot = self._slot(index)
        if slot.ring is not None:
            raise RemoteProtocolError("the size of a running ring cannot change")
        if not 0 < size <= MAX_SIZE:
            raise RemoteProtocolError(f"a ring of {size} descriptors")
        slot.size = size
        return []

    def _set_addresses(self, message: Message) -> list[Event]:
        addresses = message.addresses()
        slot = self._slot(addresses.index)
        slot.addresses = addresses
        if slot.ring is None:
            return []
        slot.ring = self._new_ring(slot)
        return [RingsInterrupted(), RingStarted(slot.index)]

    def _set_base(self, message: Message) -> list[Event]:
        index, _ = message.state()
        self._slot(index)  # the used ring tells where to go on: see `Ring`
        return []

    def _get_base(self, message: Message) -> list[Event]:
        index, _ = message.state()
        slot = self._slot(index)
        base, ring = 0, slot.ring
        if ring is not None:
            base, slot.ring = ring.base, None
        self._out.append(messages.reply_state(Request.GET_VRING_BASE, index, base))
        return [] if ring is None else [RingStopped(index)]

    def _set_kick(self, message: Message) -> list[Event]:
        index, fd = message.ring_fd()
        slot = self._slot(index)
        if fd is None:
            raise RemoteProtocolError("a ring that is to be polled")
        events: list[Event] = [KickSet(index, fd)]
        if slot.ring is None:
            slot.ring = self._new_ring(slot)
            events.append(RingStarted(index))
        return events

    def _new_ring(self, slot: _Slot) -> Ring:
        if slot.addresses is None or not slot.size or self._memory is None:
            raise RemoteProtocolError(f"ring {slot.index} has no size, addresses or memory yet")
        addresses = slot.addresses
        layout = Layout(
            slot.size, addresses.descriptors, addresses.available, addresses.used,
            self._profile.writable[slot.index], self.has(Virtio.EVENT_INDEX),
            self.has(Virtio.INDIRECT), addresses.log if addresses.is_logged else None,
        )  # fmt: skip
        log = self._log if self.features & Virtio.LOG_ALL else None
        return Ring(layout, self._memory, self._fence, log)

    def _set_call(self, message: Message) -> list[Event]:
        index, fd = message.ring_fd()
        self._slot(index)
        return [CallSet(index, fd)]

    def _set_error(self, message: Message) -> list[Event]:
        index, _ = message.ring_fd()
        self._slot(index)
        return self._drop_fds(message)

    def _set_enable(self, message: Message) -> list[Event]:
        index, enabled = message.state()
        slot = self._slot(index)
        slot.enabled = bool(enabled)
        return [RingEnabled(index, slot.enabled)]

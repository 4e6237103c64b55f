"""Messages of vhost-user: a header of three numbers, a payload, and descriptors beside it.

Descriptors are numbers here; who reads them from the socket owns them, and closes those that
no event of the session hands on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.memory import Region

HEADER = struct.Struct("<III")
MAX_PAYLOAD = 4096
MAX_FDS = 8  # as many as a memory table has regions
VERSION = 1
_VERSION_MASK, _REPLY, _NEED_REPLY = 0x3, 0x4, 0x8
_U64 = struct.Struct("<Q")
_PAIR = struct.Struct("<II")
_ADDRESSES = struct.Struct("<IIQQQQ")
_REGION = struct.Struct("<QQQQ")
_CONFIG = struct.Struct("<III")
_LOG = struct.Struct("<QQ")
_NO_FD = 0x100


class Request(IntEnum):
    """What a front-end may ask for; those that are understood here."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_LOG_FD = 7
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    SET_VRING_ENABLE = 18
    SEND_RARP = 19
    NET_SET_MTU = 20
    GET_CONFIG = 24
    SET_CONFIG = 25


WITH_FDS = frozenset(
    {
        Request.SET_MEM_TABLE, Request.SET_LOG_BASE, Request.SET_LOG_FD, Request.SET_VRING_KICK,
        Request.SET_VRING_CALL, Request.SET_VRING_ERR,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RingAddresses:
    """Where a ring's three parts are, as addresses of the front-end; `log` is a guest's."""

    index: int
    is_logged: bool
    descriptors: int
    used: int
    available: int
    log: int


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came: the payload's meaning depends on what is asked for."""

    request: Request
    needs_reply: bool
    payload: bytes
    fds: tuple[int, ...] = ()

    def number(self) -> int:
        """The payload as one number of 64 bits."""
        value: int = self._exactly(_U64)[0]
        return value

    def state(self) -> tuple[int, int]:
        """The payload as a ring's index and a number of 32 bits."""
        index, number = self._exactly(_PAIR)
        return index, number

    def addresses(self) -> RingAddresses:
        """The payload as a ring's addresses."""
        index, flags, descriptors, used, available, log = self._exactly(_ADDRESSES)
        return RingAddresses(index, bool(flags & 1), descriptors, used, available, log)

    def regions(self) -> tuple[Region, ...]:
        """The payload as a memory table, with one descriptor for each region."""
        if len(self.payload) < _PAIR.size:
            raise self._malformed()
        count, _ = _PAIR.unpack_from(self.payload)
        if count > MAX_FDS or len(self.payload) < _PAIR.size + count * _REGION.size:
            raise self._malformed()
        if len(self.fds) != count:
            raise RemoteProtocolError(f"{count} regions of memory with {len(self.fds)} descriptors")
        table = self.payload[_PAIR.size : _PAIR.size + count * _REGION.size]
        return tuple(Region(*each) for each in _REGION.iter_unpack(table))

    def ring_fd(self) -> tuple[int, int | None]:
        """The payload as a ring's index, with a descriptor, unless it says that there is none."""
        value = self.number()
        expected = 0 if value & _NO_FD else 1
        if len(self.fds) != expected:
            raise RemoteProtocolError(
                f"{self.request.name} with {len(self.fds)} descriptors instead of {expected}"
            )
        return value & 0xFF, self.fds[0] if expected else None

    def log(self) -> tuple[int, int, int]:
        """The payload as a log's size and offset, with its descriptor."""
        size, offset = self._exactly(_LOG)
        if len(self.fds) != 1:
            raise RemoteProtocolError(f"a log with {len(self.fds)} descriptors")
        return size, offset, self.fds[0]

    def config(self) -> tuple[int, int]:
        """The payload as a part of the configuration space: offset, size."""
        if len(self.payload) < _CONFIG.size:
            raise self._malformed()
        offset, size, _ = _CONFIG.unpack_from(self.payload)
        return offset, size

    def _exactly(self, packed: struct.Struct) -> tuple[int, ...]:
        if len(self.payload) != packed.size:
            raise self._malformed()
        return packed.unpack(self.payload)

    def _malformed(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"{self.request.name} with {len(self.payload)} bytes of payload")


class Decoder:
    """Puts messages together. Read `wanted` bytes at a time, and no more.

    Descriptors come with the first byte of a message; who reads across the end of one could no
    longer tell to which of them they belong.
    """

    __slots__ = ("_data", "_fds", "_size")

    def __init__(self) -> None:
        self._data = b""
        self._fds: tuple[int, ...] = ()
        self._size = HEADER.size

    @property
    def wanted(self) -> int:
        """How many bytes are missing; never 0."""
        return self._size - len(self._data)

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors of a message that has not come whole; they must be closed if it never does."""
        return self._fds

    def received(self, data: bytes, fds: tuple[int, ...] = ()) -> Message | None:
        """Take in what was read: a message, once it is whole.

        Raises:
            RemoteProtocolError: no such request, or it is too large, or of another version.
        """
        self._data += data
        self._fds += fds
        if len(self._fds) > MAX_FDS:
            raise RemoteProtocolError(f"more than {MAX_FDS} descriptors with a message")
        if len(self._data) == HEADER.size:
            self._begin()
        if len(self._data) < self._size:
            return None
        message = self._whole()
        self._data, self._fds, self._size = b"", (), HEADER.size
        return message

    def _begin(self) -> None:
        request, flags, size = HEADER.unpack(self._data)
        if flags & _VERSION_MASK != VERSION or flags & _REPLY:
            raise RemoteProtocolError(f"no request of version {VERSION}: flags {flags:#x}")
        if size > MAX_PAYLOAD:
            raise RemoteProtocolError(f"request {request} with a payload of {size} bytes")
        self._size += size

    def _whole(self) -> Message:
        number, flags, _ = HEADER.unpack_from(self._data)
        try:
            request = Request(number)
        except ValueError:
            raise RemoteProtocolError(f"request {number} was not negotiated") from None
        if self._fds and request not in WITH_FDS:
            raise RemoteProtocolError(f"{request.name} with descriptors")
        return Message(request, bool(flags & _NEED_REPLY), self._data[HEADER.size :], self._fds)


def reply(request: Request, payload: bytes) -> bytes:
    """The bytes of an answer."""
    return HEADER.pack(request, VERSION | _REPLY, len(payload)) + payload


def reply_number(request: Request, number: int) -> bytes:
    """The bytes of an answer that is one number of 64 bits."""
    return reply(request, _U64.pack(number))


def reply_state(request: Request, index: int, number: int) -> bytes:
    """The bytes of an answer about a ring."""
    return reply(request, _PAIR.pack(index, number))


def reply_config(request: Request, offset: int, data: bytes) -> bytes:
    """The bytes of an answer about the configuration space; without data it is a refusal."""
    if not data:
        return reply(request, b"")
    return reply(request, _CONFIG.pack(offset, len(data), 0) + data)

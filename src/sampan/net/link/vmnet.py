"""VPNKit's handshake on a stream ("vmnet", HyperKit's virtio-vpnkit), from both sides.

    client                                   server
    Init (49 bytes)      ─────────────────►
                         ◄─────────────────  Init
    Command (41 bytes)   ─────────────────►
                         ◄─────────────────  Reply (258): Vif, or Disconnect and a reason
    frames, each behind a u16 LE length, both ways (`stream.VMNET`)

All numbers little endian. `Command` asks for an interface by UUID, which keeps its MAC and
address from one connection to the next; a zero UUID asks for a new one. It may prefer an
address.

Both sides are pure: `received` takes bytes and returns what to do. Whoever speaks something
else gets `LinkError`. Bytes behind the handshake belong to the frames and are in `rest`.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from sampan.net.link.error import LinkError

MAGIC = b"VMN3T"
VERSION = 22
_INIT = struct.Struct("<5sI40s")
_COMMAND = struct.Struct("<B36sI")
_VIF = struct.Struct("<BHH6s")
_ETHERNET, _PREFERRED = 1, 8
_GRANTED, _REFUSED = 1, 2
_REPLY_LENGTH = 258
_OVERHEAD = 50  # of the largest packet over the MTU
COMMAND_LENGTH = _COMMAND.size
INIT_LENGTH = _INIT.size


@dataclass(frozen=True, slots=True)
class Init:
    """Who speaks: the protocol's version and the commit the program was built from."""

    version: int = VERSION
    commit: bytes = b"sampan"

    @classmethod
    def parse(cls, data: bytes) -> Init:
        """The first 49 bytes of a side.

        Raises:
            LinkError: they are something else.
        """
        magic, version, commit = _INIT.unpack(data)
        if magic != MAGIC:
            raise LinkError("the peer does not speak VPNKit's Ethernet protocol")
        return cls(version, commit.rstrip(b"\0"))

    def emit(self) -> bytes:
        """It as bytes."""
        return _INIT.pack(MAGIC, self.version, self.commit)


@dataclass(frozen=True, slots=True)
class Command:
    """A client asks for an interface. `preferred` is an IPv4 address of four bytes, or empty."""

    identity: uuid.UUID
    preferred: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Command:
        """The 41 bytes that follow the greeting.

        Raises:
            LinkError: an unknown command, or what stands there is no UUID.
        """
        kind, text, address = _COMMAND.unpack(data)
        if kind not in (_ETHERNET, _PREFERRED):
            raise LinkError(f"the peer sends command {kind}, which is unknown")
        try:
            identity = uuid.UUID(text.decode("ascii"))
        except ValueError:
            raise LinkError("the peer asks for an interface without a UUID") from None
        return cls(identity, address.to_bytes(4, "big") if kind == _PREFERRED else b"")

    def emit(self) -> bytes:
        """It as bytes."""
        kind = _PREFERRED if self.preferred else _ETHERNET
        return _COMMAND.pack(
            kind, str(self.identity).encode(), int.from_bytes(self.preferred, "big")
        )


@dataclass(frozen=True, slots=True)
class Vif:
    """The interface that a client got: its MTU, the largest packet and its MAC."""

    mac: bytes
    mtu: int = 1500
    max_packet: int = 0

    def emit(self) -> bytes:
        """It as a reply."""
        packet = self.max_packet or min(0xFFFF, self.mtu + _OVERHEAD)
        return _VIF.pack(_GRANTED, self.mtu, packet, self.mac).ljust(_REPLY_LENGTH, b"\0")


def refusal(reason: str) -> bytes:
    """The reply that turns a client away."""
    text = reason.encode()[:255]
    return (bytes([_REFUSED, len(text)]) + text).ljust(_REPLY_LENGTH, b"\0")


def parse_reply(data: bytes) -> Vif:
    """The interface that a reply grants.

    Raises:
        LinkError: the server refused, and why; or it said something unknown.
    """
    if data[0] == _GRANTED:
        _, mtu, packet, mac = _VIF.unpack_from(data)
        return Vif(mac, mtu, packet)
    if data[0] == _REFUSED:
        reason = data[2 : 2 + data[1]].decode(errors="replace")
        raise LinkError(f"the network turned this machine away: {reason}")
    raise LinkError(f"the network replies {data[0]}, which is unknown")


class Server:
    """The network's side: greets, hears the command; the caller then sends a reply."""

    def __init__(self) -> None:
        self.rest = b""
        self._greeted = False
        self._heard = False

    def received(self, data: bytes) -> tuple[bytes, Command | None]:
        """What to send now, and the command once it is there: answer it with `Vif.emit`.

        Raises:
            LinkError: the peer is no client; close the connection.
        """
        self.rest += data
        out = b""
        if not self._greeted and len(self.rest) >= INIT_LENGTH:
            Init.parse(self.rest[:INIT_LENGTH])
            self.rest = self.rest[INIT_LENGTH:]
            self._greeted = True
            out = Init().emit()
        if self._greeted and not self._heard and len(self.rest) >= COMMAND_LENGTH:
            command = Command.parse(self.rest[:COMMAND_LENGTH])
            self.rest = self.rest[COMMAND_LENGTH:]
            self._heard = True
            return out, command
        return out, None


class Client:
    """The machine's side. Send `greeting` first."""

    def __init__(self, command: Command) -> None:
        self.rest = b""
        self.greeting = Init().emit()
        self._command = command
        self._greeted = False

    def received(self, data: bytes) -> tuple[bytes, Vif | None]:
        """What to send now, and the interface once it is granted.

        Raises:
            LinkError: the peer is no server, or it refused; close the connection.
        """
        self.rest += data
        out = b""
        if not self._greeted and len(self.rest) >= INIT_LENGTH:
            Init.parse(self.rest[:INIT_LENGTH])
            self.rest = self.rest[INIT_LENGTH:]
            self._greeted = True
            out = self._command.emit()
        if self._greeted and len(self.rest) >= _REPLY_LENGTH:
            vif = parse_reply(self.rest[:_REPLY_LENGTH])
            self.rest = self.rest[_REPLY_LENGTH:]
            return out, vif
        return out, None

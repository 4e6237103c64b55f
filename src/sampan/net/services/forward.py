"""A port forward, as people write it and as VPNKit's control tree does.

    [BIND:]PORT[-PORT]:[GUEST:]PORT[-PORT][/tcp|udp]      8080:80   0.0.0.0:53:dns:53/udp
    PATH:[GUEST:]PORT                                     /run/web.sock:80

Connections to the first reach the second. `BIND` is an address of the host (127.0.0.1, so that
nothing is open to the network by accident); port 0 asks for any free one. `GUEST` is the name
or address of a machine; without it the network's only machine is meant. IPv6 addresses stand in
brackets. Ranges have the same length on both sides and become one forward for each port.

VPNKit writes the same as `tcp:HOSTIP:HOSTPORT:tcp:IP:PORT`, Unix sockets as base64.

It may not know whether a port can be had.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from enum import StrEnum

import msgspec

from sampan.errors import UsageError

DEFAULT_BIND = "127.0.0.1"
MAX_RANGE = 1024
MAX_PATH = 103  # bytes of a Unix socket's path on every system
_MAX_PORT = 65535
_HINT = (
    "the form is [BIND:]PORT[-PORT]:[GUEST:]PORT[-PORT][/tcp|udp] or PATH:[GUEST:]PORT, "
    "for instance 8080:80 or [::1]:8443:web:443"
)
_FIELD = re.compile(r"\[([^][]*)\]|([^][:]*)")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Protocol(StrEnum):
    """What a forward carries."""

    TCP = "tcp"
    UDP = "udp"


class Forward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What arrives at `bind`:`port`, or at the Unix socket `path`, goes to `guest`:`guest_port`.

    With a `path`, `bind` and `port` mean nothing. An empty `guest` is the only machine.
    """

    guest_port: int
    port: int = 0
    bind: str = DEFAULT_BIND
    path: str = ""
    guest: str = ""
    protocol: Protocol = Protocol.TCP

    @property
    def place(self) -> tuple[str, str, int, str]:
        """Where it listens, wherever it leads: what only one forward can have."""
        if self.path:
            return self.path, "", 0, ""
        return "", self.bind, self.port, self.protocol

    def __str__(self) -> str:
        guest = f"{_bracketed(self.guest)}:" if self.guest else ""
        if self.path:
            return f"{self.path}:{guest}{self.guest_port}"
        return f"{_bracketed(self.bind)}:{self.port}:{guest}{self.guest_port}/{self.protocol}"


def parse(text: str) -> tuple[Forward, ...]:
    """The forwards that `text` describes: one, or as many as its range is long.

    Raises:
        UsageError: it is not of the form, or a number or address is not one.
    """
    body, protocol = text, Protocol.TCP
    if (found := re.search(r":\d[\d-]*/(\w*)$", text)) is not None:
        if found[1] not in tuple(Protocol):
            raise _wrong(text, f"{found[1]!r} is neither tcp nor udp")
        body, protocol = text[: found.start(1) - 1], Protocol(found[1])
    if text.startswith(("/", "./", "unix:")):
        return (_unix(text, body, protocol),)
    fields = _fields(body, text)
    bind, host, guest, inner = _arrange(fields, text)
    first, last = _range(host, text, "host", low=0)
    guest_first, guest_last = _range(inner, text, "guest", low=1)
    count = last - first + 1
    if count != guest_last - guest_first + 1:
        raise _wrong(text, "its two ranges differ in length")
    if count > MAX_RANGE or (first == 0 and count > 1):
        raise _wrong(text, f"a range has at most {MAX_RANGE} ports and does not begin with 0")
    return tuple(
        Forward(
            bind=_bind(bind, text),
            port=first + step,
            guest=_guest(guest, text),
            guest_port=guest_first + step,
            protocol=protocol,
        )
        for step in range(count)
    )


def describe(forward: Forward, guest: str) -> str:
    """A forward as VPNKit's control tree names it; `guest` is the address of its machine."""
    if forward.path:
        path = base64.b64encode(forward.path.encode()).decode()
        return f"unix:{path}:tcp:{guest}:{forward.guest_port}"
    protocol = forward.protocol
    return f"{protocol}:{forward.bind}:{forward.port}:{protocol}:{guest}:{forward.guest_port}"


def parse_description(text: str) -> Forward:
    """The forward that a line written to VPNKit's control file describes.

    Raises:
        UsageError: it describes none, or one to a Unix socket inside a machine.
    """
    kind, *fields = text.strip().split(":")
    if kind == "unix" and len(fields) == 4 and fields[1] == "tcp":
        path, inner = _decoded(fields[0], text), fields[1:]
        guest, port = inner[1], _port(inner[2], text, "guest", low=1)
        return Forward(path=_path(path, text), guest=_guest(guest, text), guest_port=port)
    if kind == "unix":
        raise _wrong(text, "a Unix socket inside a machine cannot be reached from here")
    if kind not in tuple(Protocol) or len(fields) < 5 or kind not in fields[2:-2]:
        raise _wrong(text, "it is not PROTO:HOSTIP:HOSTPORT:PROTO:IP:PORT")
    middle = len(fields) - fields[::-1].index(kind) - 1  # IPv6 addresses have colons of their own
    return Forward(
        bind=_bind(":".join(fields[: middle - 1]), text),
        port=_port(fields[middle - 1], text, "host", low=0),
        guest=_guest(":".join(fields[middle + 1 : -1]), text),
        guest_port=_port(fields[-1], text, "guest", low=1),
        protocol=Protocol(kind),
    )


def _fields(body: str, whole: str) -> list[str]:
    fields: list[str] = []
    position = 0
    while True:
        found = _FIELD.match(body, position)
        assert found is not None  # the second alternative matches nothing, if need be
        fields.append(found[1] if found[1] is not None else found[2])
        position = found.end()
        if position == len(body):
            return fields
        if body[position] != ":":
            raise _wrong(whole, "its brackets do not match")
        position += 1


def _arrange(fields: list[str], text: str) -> tuple[str, str, str, str]:
    """Bind address, host port, guest and guest port, as text; what is not given is empty."""
    match fields:
        case [host, inner]:
            return "", host, "", inner
        case [host, guest, inner] if re.fullmatch(r"\d+(-\d+)?", host):
            return "", host, guest, inner
        case [bind, host, inner]:
            return bind or DEFAULT_BIND, host, "", inner
        case [bind, host, guest, inner]:
            return bind or DEFAULT_BIND, host, guest, inner
        case [_]:
            raise _wrong(text, "it has no guest port")
        case _:
            raise _wrong(text, "it has too many colons (an IPv6 address stands in brackets)")


def _unix(text: str, body: str, protocol: Protocol) -> Forward:
    if protocol is not Protocol.TCP:
        raise _wrong(text, "a Unix socket carries no datagrams here")
    path, colon, rest = body.removeprefix("unix:").partition(":")
    if not colon:
        raise _wrong(text, "it has no guest port")
    fields = _fields(rest, text)
    if len(fields) > 2:
        raise _wrong(text, "it has too many colons (an IPv6 address stands in brackets)")
    guest = _guest(fields[0], text) if len(fields) == 2 else ""
    return Forward(
        path=_path(path, text), guest=guest, guest_port=_port(fields[-1], text, "guest", low=1)
    )


def _path(path: str, whole: str) -> str:
    if not path or "\0" in path or len(path.encode(errors="surrogateescape")) > MAX_PATH:
        raise _wrong(whole, f"the path of a socket has 1 to {MAX_PATH} bytes")
    return path


def _decoded(text: str, whole: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        raise _wrong(whole, f"{text!r} is not base64 of a path") from None


def _range(text: str, whole: str, which: str, *, low: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    start = _port(first, whole, which, low=low)
    end = _port(last, whole, which, low=low) if dash else start
    if end < start:
        raise _wrong(whole, f"its {which} range ends before it begins")
    return start, end


def _port(text: str, whole: str, which: str, *, low: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise _wrong(whole, f"{text!r} is not a {which} port")
    number = int(text)
    if not low <= number <= _MAX_PORT:
        raise _wrong(whole, f"{which} port {number} is not between {low} and {_MAX_PORT}")
    return number


def _bind(text: str, whole: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else DEFAULT_BIND
    except ValueError:
        raise _wrong(whole, f"{text!r} is not an IP address") from None


def _guest(text: str, whole: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _NAME.fullmatch(text) is None or text.replace(".", "").isdigit():
            raise _wrong(whole, f"{text!r} is no name or address of a machine") from None
        return text


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"cannot forward {text!r}: {why}", hint=_HINT)

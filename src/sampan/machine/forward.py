"""A published port: `[BIND:]HOST:GUEST[/tcp|udp]`, as a value.

The default address is 127.0.0.1, so that a machine is not open to the network by accident
(LinuxKit listens on every address: there, say `0.0.0.0:8080:80`). Host port 0 asks for any
free port; the running machine says which it became. IPv6 addresses stand in brackets, but
QEMU's user networking cannot listen on them.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum

import msgspec

from sampan.errors import UsageError

DEFAULT_BIND = "127.0.0.1"
_HINT = "the form is [BIND:]HOST:GUEST[/tcp|udp], for instance 8080:80 or 0.0.0.0:5353:53/udp"
_MAX_PORT = 65535


class Protocol(StrEnum):
    """What a port carries."""

    TCP = "tcp"
    UDP = "udp"


class Forward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections to `bind`:`host_port` of the host reach `guest_port` of the guest."""

    host_port: int
    guest_port: int
    bind: str = DEFAULT_BIND
    protocol: Protocol = Protocol.TCP

    @classmethod
    def parse(cls, text: str) -> Forward:
        """The forward that `text` describes.

        Raises:
            UsageError: it is not of the form, or a number or address is not one.
        """
        ports, slash, protocol = text.partition("/")
        if slash and protocol not in tuple(Protocol):
            raise _wrong(text, f"{protocol!r} is neither tcp nor udp")
        bind, host, guest = _split(ports, text)
        return cls(
            host_port=_port(host, text, "host", low=0),
            guest_port=_port(guest, text, "guest", low=1),
            bind=_address(bind, text) if bind is not None else DEFAULT_BIND,
            protocol=Protocol(protocol) if slash else Protocol.TCP,
        )

    def __str__(self) -> str:
        bind = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"{bind}:{self.host_port}:{self.guest_port}/{self.protocol}"


def _split(ports: str, text: str) -> tuple[str | None, str, str]:
    if ports.startswith("["):
        bind, bracket, rest = ports[1:].partition("]:")
        if not bracket:
            raise _wrong(text, "the bracket of its address is not closed")
        fields = [bind, *rest.split(":")]
    else:
        fields = ports.split(":")
    if len(fields) == 2 and not ports.startswith("["):
        return None, fields[0], fields[1]
    if len(fields) == 3:
        return fields[0], fields[1], fields[2]
    missing = "it has no guest port" if len(fields) < 3 else "it has too many colons"
    raise _wrong(text, missing)


def _port(text: str, whole: str, which: str, *, low: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise _wrong(whole, f"{text!r} is not a {which} port")
    number = int(text)
    if not low <= number <= _MAX_PORT:
        raise _wrong(whole, f"{which} port {number} is not between {low} and {_MAX_PORT}")
    return number


def _address(text: str, whole: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _wrong(whole, f"{text!r} is not an IP address") from None


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"cannot publish {text!r}: {why}", hint=_HINT)

"""One virtual network: its addresses, and which of them are ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from sampan.net.wire import address

_LINK_LOCAL = bytes.fromhex("fe80")


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of a network; raw bytes, as on the wire.

    `local` addresses are answered by the stack itself: the gateway, the host, services. `prefix6`
    (the first 8 bytes of a /64) is empty for a network without IPv6. UDP to `service_ports` of a
    local, broadcast or multicast address is told as `event.ServiceDatagram`.
    """

    mac: bytes = bytes.fromhex("f61636bcf9c6")
    gateway: bytes = bytes([192, 168, 65, 1])
    prefix_length: int = 24
    prefix6: bytes = bytes.fromhex("fdc0a84165000000")
    local: frozenset[bytes] = frozenset({bytes([192, 168, 65, 1]), bytes([192, 168, 65, 254])})
    mtu: int = 1500
    service_ports: frozenset[int] = frozenset({53, 67, 123, 547})
    resolvers6: tuple[bytes, ...] = ()
    timestamps: bool = False  # agree to TCP timestamps; a local link gains little by them
    gateway6: bytes = field(init=False)
    link_local6: bytes = field(init=False)
    ours: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        gateway6 = self.prefix6 + bytes(7) + b"\1" if self.prefix6 else b""
        link_local = address.link_local(self.mac)
        six = {gateway6, link_local} if self.prefix6 else set()
        object.__setattr__(self, "gateway6", gateway6)
        object.__setattr__(self, "link_local6", link_local)
        object.__setattr__(self, "ours", self.local | {self.gateway} | six)

    def on_link(self, ip: bytes) -> bool:
        """Whether an address of 4 or 16 bytes belongs to a station of this network."""
        if len(ip) == 4:
            shift = 32 - self.prefix_length
            return (
                int.from_bytes(ip, "big") >> shift == int.from_bytes(self.gateway, "big") >> shift
            )
        if not self.prefix6:
            return False
        return ip[:8] == self.prefix6 or (ip[:2] == _LINK_LOCAL and not any(ip[2:8]))

    def is_broadcast(self, ip: bytes) -> bool:
        """Whether an IPv4 address means every station of this network."""
        if len(ip) != 4:
            return False
        mask = (1 << 32 - self.prefix_length) - 1
        number = int.from_bytes(ip, "big")
        return ip == address.BROADCAST_IPV4 or (number & mask == mask and self.on_link(ip))

    def source_for(self, ip: bytes) -> bytes:
        """Which of our addresses speaks to `ip`."""
        if len(ip) == 4:
            return self.gateway
        return self.link_local6 if ip[:2] == _LINK_LOCAL else self.gateway6

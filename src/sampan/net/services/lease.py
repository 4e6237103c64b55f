"""Who has which address: the pool of a DHCP server.

An address is *free*, *held* (offered; for a short while), *leased* to a MAC, *shunned* (a
machine found somebody else using it), or *in use* by somebody who never asked, as whoever knows
the network says (`in_use`). A fixed address belongs to its MAC for ever and to nobody
else. When a lease ends the pool remembers it, and gives the MAC the same address again as long
as no other machine needed it: a machine keeps its address over a restart of either side.

Limits: a pool has at most `MAX_POOL` addresses, and one `owner` (a port of the switch) holds
at most `per_owner` of them, so a machine that makes up MACs exhausts only itself. At most a
quarter of the pool is shunned at once.

`now` counts seconds of any clock that does not go back. A snapshot keeps what is left of each
lease, so time during which nobody counted does not end leases.

It may not know what a DHCP message looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from sampan.errors import UsageError
from sampan.net.wire.address import format_ip, format_mac, parse_ip, parse_mac

MAX_POOL = 4096
HOLD_S = 30.0
SHUN_S = 600.0
_NOBODY = -1  # owner of restored leases, until their machines ask again


def _nobody_else(ip: bytes, mac: bytes, now: float) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Lease:
    """An address in use. `bound` is false while it is only offered."""

    mac: bytes
    ip: bytes
    expires_s: float
    name: str = ""
    owner: int = 0
    bound: bool = True


class Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lease of a snapshot. `remaining_s` is 0 for one that has ended but is remembered."""

    mac: str
    address: str
    remaining_s: float
    name: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What survives a restart."""

    leases: tuple[Saved, ...] = ()


class Pool:
    """The addresses from `first` to `last`, both included, four bytes each.

    Args:
        first: the lowest address.
        last: the highest.
        fixed: addresses by MAC that belong to it alone; they may lie outside the range.
        per_owner: how many addresses one owner may hold.

    Raises:
        UsageError: the range is empty or too large, or one address is fixed for two MACs.
    """

    def __init__(
        self,
        first: bytes,
        last: bytes,
        fixed: Mapping[bytes, bytes] | None = None,
        *,
        per_owner: int = 32,
    ) -> None:
        low, high = int.from_bytes(first, "big"), int.from_bytes(last, "big")
        if not 0 <= high - low < MAX_POOL:
            raise UsageError(
                f"a pool from {format_ip(first)} to {format_ip(last)} is empty or too large",
                hint=f"a pool has 1 to {MAX_POOL} addresses",
            )
        self._range = range(low, high + 1)
        self._fixed = dict(fixed or {})
        self._kept = frozenset(self._fixed.values())
        if len(self._kept) < len(self._fixed):
            raise UsageError("one address is fixed for two machines")
        self._per_owner = per_owner
        self._by_mac: dict[bytes, Lease] = {}  # ended ones too, until the address is needed
        self._by_ip: dict[bytes, bytes] = {}
        self._shunned: dict[bytes, float] = {}
        self.in_use: Callable[[bytes, bytes, float], bool] = _nobody_else

    def fix(self, mac: bytes, ip: bytes) -> None:
        """From now on `ip` belongs to `mac`; a lease of another machine on it ends.

        Raises:
            UsageError: the address is fixed for another machine.
        """
        if any(other != mac and taken == ip for other, taken in self._fixed.items()):
            raise UsageError(f"{format_ip(ip)} is fixed for another machine")
        self._fixed[mac] = ip
        self._kept = frozenset(self._fixed.values())
        for holder in (mac, self._by_ip.get(ip)):
            if holder is not None and (holder != mac or self._by_mac_ip(mac) != ip):
                self._forget(holder)

    def reserve(self, mac: bytes, now: float) -> bytes | None:
        """Let `mac` have an address for itself from now on: its own, else any; None: none is left."""
        ip = self._choose(mac, None, now)
        if ip is not None:
            self.fix(mac, ip)
        return ip

    def unfix(self, mac: bytes) -> bool:
        """What was fixed for `mac` is not any more, but it keeps its lease; False: nothing was."""
        found = self._fixed.pop(mac, None) is not None
        self._kept = frozenset(self._fixed.values())
        return found

    def offer(self, mac: bytes, wanted: bytes | None, now: float, owner: int = 0) -> Lease | None:
        """Hold an address for `mac`: its own if it has one, else `wanted`, else any.

        None if there is none left, for this owner or at all.
        """
        lease = self._by_mac.get(mac)
        if lease is not None and lease.bound and lease.expires_s > now:
            return lease
        ip = self._choose(mac, wanted, now)
        if ip is None or not self._may_hold(mac, owner, now):
            return None
        return self._put(Lease(mac, ip, now + HOLD_S, lease.name if lease else "", owner, False))

    def bind(
        self,
        mac: bytes,
        ip: bytes,
        now: float,
        duration_s: float,
        *,
        name: str = "",
        owner: int = 0,
    ) -> Lease | None:
        """Lease `ip` to `mac`, anew or for longer; None if it cannot have that address."""
        if not self._may_have(mac, ip, now) or not self._may_hold(mac, owner, now):
            return None
        return self._put(Lease(mac, ip, now + duration_s, name, owner))

    def release(self, mac: bytes, ip: bytes, now: float) -> Lease | None:
        """`mac` gives up its address, which stays remembered; the lease that ended, if any."""
        lease = self._by_mac.get(mac)
        if lease is None or lease.ip != ip or lease.expires_s <= now:
            return None
        self._by_mac[mac] = replace(lease, expires_s=now)
        return lease

    def leave(self, owner: int, now: float) -> tuple[Lease, ...]:
        """An owner is gone with all its machines: the leases that end, remembered as ever."""
        ended = tuple(
            each for each in self._by_mac.values() if each.owner == owner and each.expires_s > now
        )
        for lease in ended:
            self._by_mac[lease.mac] = replace(lease, expires_s=now, owner=_NOBODY)
        return tuple(lease for lease in ended if lease.bound)

    @property
    def fixed(self) -> dict[bytes, bytes]:
        """The addresses that belong to one MAC alone, by MAC."""
        return dict(self._fixed)

    def decline(self, mac: bytes, ip: bytes, now: float) -> bool:
        """`mac` found `ip`, which it was given, in use elsewhere: shun it for a while."""
        lease = self._by_mac.get(mac)
        if lease is None or lease.ip != ip:
            return False
        self._forget(mac)
        if ip not in self._kept:
            self._shunned[ip] = now + SHUN_S
            if len(self._shunned) > max(1, len(self._range) // 4):
                del self._shunned[next(iter(self._shunned))]
        return True

    def find(self, mac: bytes, now: float) -> Lease | None:
        """What `mac` holds: a lease or an offer."""
        lease = self._by_mac.get(mac)
        return lease if lease is not None and lease.expires_s > now else None

    def leases(self, now: float) -> tuple[Lease, ...]:
        """The leases that are running, by address."""
        running = (each for each in self._by_mac.values() if each.bound and each.expires_s > now)
        return tuple(sorted(running, key=lambda lease: lease.ip))

    def next_timer(self, now: float) -> float | None:
        """When the next lease ends; look at `leases` again then."""
        return min((lease.expires_s for lease in self.leases(now)), default=None)

    def snapshot(self, now: float) -> Snapshot:
        """All leases, also ended ones that are remembered; offers are not worth keeping."""
        return Snapshot(
            leases=tuple(
                Saved(
                    mac=format_mac(lease.mac),
                    address=format_ip(lease.ip),
                    remaining_s=max(0.0, lease.expires_s - now),
                    name=lease.name,
                )
                for lease in self._by_mac.values()
                if lease.bound
            )
        )

    def restore(self, snapshot: Snapshot, now: float) -> None:
        """Take over the leases of a snapshot; those that do not fit this pool are left out.

        Raises:
            ValueError: an address or MAC in it is none.
        """
        for saved in snapshot.leases:
            mac, ip = parse_mac(saved.mac), parse_ip(saved.address)
            if self._may_have(mac, ip, now):
                self._put(Lease(mac, ip, now + saved.remaining_s, saved.name, _NOBODY))

    def _choose(self, mac: bytes, wanted: bytes | None, now: float) -> bytes | None:
        fixed = self._fixed.get(mac)
        if fixed is not None:
            return fixed
        for ip in (self._by_mac_ip(mac), wanted):
            if ip is not None and self._may_have(mac, ip, now):
                return ip
        candidates = (ip for ip in self._addresses() if ip not in self._by_ip)
        fresh = next((ip for ip in candidates if self._may_have(mac, ip, now)), None)
        return fresh if fresh is not None else self._reclaim(mac, now)

    def _reclaim(self, mac: bytes, now: float) -> bytes | None:
        """The address whose lease ended longest ago."""
        ended = [lease for lease in self._by_mac.values() if self._may_have(mac, lease.ip, now)]
        return min(ended, key=lambda lease: lease.expires_s).ip if ended else None

    def _may_have(self, mac: bytes, ip: bytes, now: float) -> bool:
        if mac in self._fixed:
            return self._fixed[mac] == ip
        if int.from_bytes(ip, "big") not in self._range or ip in self._kept:
            return False
        if self._shunned.get(ip, now) > now or self.in_use(ip, mac, now):
            return False
        holder = self._by_ip.get(ip)
        return holder in (None, mac) or self._by_mac[holder].expires_s <= now

    def _may_hold(self, mac: bytes, owner: int, now: float) -> bool:
        if mac in self._fixed or self.find(mac, now) is not None:
            return True
        held = sum(
            1 for lease in self._by_mac.values() if lease.owner == owner and lease.expires_s > now
        )
        return held < self._per_owner

    def _put(self, lease: Lease) -> Lease:
        """Record it, in place of what its MAC had and of whoever had its address."""
        holder = self._by_ip.get(lease.ip)
        if holder is not None:
            self._forget(holder)
        self._forget(lease.mac)
        self._by_mac[lease.mac] = lease
        self._by_ip[lease.ip] = lease.mac
        return lease

    def _forget(self, mac: bytes) -> None:
        lease = self._by_mac.pop(mac, None)
        if lease is not None:
            del self._by_ip[lease.ip]

    def _by_mac_ip(self, mac: bytes) -> bytes | None:
        lease = self._by_mac.get(mac)
        return lease.ip if lease else None

    def _addresses(self) -> Iterator[bytes]:
        return (number.to_bytes(4, "big") for number in self._range)

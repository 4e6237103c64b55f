"""DHCP on a network: requests at port 67, and what a lease means to the rest.

A leased address is reserved: nobody else may speak under it. One under which somebody speaks
already, who never asked for it, is not given to another. The machine's names follow its
leases (`service.name`). Leases are kept in a file, written whole and in the background a
moment after something changed, so that machines get the same addresses after a restart.

When a link goes, its leases end, but the pool remembers them: the machine gets its address back
when it comes again, unless all others were needed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

import msgspec

from sampan.base import fs, log
from sampan.base.loop import Timer
from sampan.errors import SampanError
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import ServiceDatagram
from sampan.net.core.port import Port
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.service.name import Names
from sampan.net.services.dhcp import Leased, Released, Server, Settings
from sampan.net.services.hosts import DOMAIN, Book
from sampan.net.services.lease import Pool, Snapshot
from sampan.net.wire.address import format_ip, format_mac, parse_ip
from sampan.net.wire.dhcpv4 import CLIENT_PORT, SERVER_PORT
from sampan.net.wire.error import MalformedError

SAVE_AFTER_S = 1.0
MAX_FILE = 4 << 20
_log = log.get(__name__)

Observer: TypeAlias = Callable[[Leased | Released, float], None]


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as people see it. `remaining_s` is what is left of it, in seconds.

    `others` are further addresses that the machine was heard under, IPv6 mostly.
    """

    mac: str
    address: str
    remaining_s: float
    name: str = ""
    link: str = ""
    others: tuple[str, ...] = ()


class DhcpService:
    """Gives machines addresses of `pool`.

    Args:
        engine: whose machines; service port 67 is taken.
        settings: what machines are told.
        pool: the addresses, with those that are fixed.
        book: where the machines' names go.
        names: names fixed by MAC.
        domain: what the machines' names are below.
        path: where leases survive; None: they do not. A file that makes no sense is replaced.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        pool: Pool,
        book: Book,
        *,
        names: Mapping[bytes, str] | None = None,
        domain: str = DOMAIN,
        path: Path | None = None,
    ) -> None:
        self.observers: list[Observer] = []
        self.server = Server(settings, pool)
        self.names = Names(engine, book, names or {}, domain)
        self._engine = engine
        self._pool = pool
        pool.in_use = self._in_use
        self._path = path
        self._owners: dict[Port, int] = {}
        self._last_owner = 0
        self._reserved: dict[bytes, bytes] = {}
        self._ends: Timer | None = None
        self._save: Timer | None = None
        self._is_saving = False
        self._restore(engine.loop.now())
        self._follow(engine.loop.now())
        engine.serve(SERVER_PORT, self.received)

    def received(self, datagram: ServiceDatagram, now: float) -> None:
        """A datagram came to port 67."""
        self.refresh(now)
        owner = self._owner(datagram.port)
        try:
            reply = self.server.received(datagram.payload, now, owner, datagram.mac)
        except MalformedError as error:
            _log.debug("a DHCP message of %s: %s", format_mac(datagram.mac), error)
            return
        events = self.server.events()
        if events:
            self._follow(now)
            self._save_soon(now)
        if reply is not None:
            source = Endpoint(parse_ip(self.server.settings.server), SERVER_PORT)
            destination = Endpoint(reply.ip, CLIENT_PORT)
            to = datagram.port, reply.mac
            self._engine.stack.send_datagram(source, destination, reply.data, now, to)
        for event in events:
            self._tell(event, now)

    def fix(self, mac: bytes, ip: bytes, name: str = "") -> None:
        """From now on this address belongs to this MAC alone.

        Raises:
            UsageError: the address is fixed for another machine.
        """
        now = self._engine.loop.now()
        self._pool.fix(mac, ip)
        if name:
            self.names.fix(mac, name)
        self._follow(now)
        self._save_soon(now)

    def reserve(self, mac: bytes, ip: bytes | None, name: str = "") -> bytes:
        """As `fix`, with any free address if `ip` is None; the address.

        Raises:
            UsageError: the address is fixed for another machine.
            SampanError: none is free.
        """
        chosen = ip if ip is not None else self._pool.reserve(mac, self._engine.loop.now())
        if chosen is None:
            raise SampanError("the network has no address left", hint="a larger --subnet has")
        self.fix(mac, chosen, name)
        return chosen

    def unfix(self, mac: bytes) -> bool:
        """End what `fix` did; the machine keeps its lease. False: there was nothing."""
        found = self._pool.unfix(mac)
        self.names.unfix(mac)
        self._follow(self._engine.loop.now())
        return found

    @property
    def fixed(self) -> dict[bytes, bytes]:
        """The addresses that belong to one MAC alone, by MAC."""
        return self._pool.fixed

    def leases(self, now: float) -> tuple[LeaseRecord, ...]:
        """The leases that are running, by address."""
        return tuple(
            LeaseRecord(
                mac=format_mac(lease.mac),
                address=format_ip(lease.ip),
                remaining_s=lease.expires_s - now,
                name=lease.name,
                link=self.names.link(lease.mac),
                others=tuple(
                    format_ip(ip) for ip in self.names.addresses(lease.mac) if ip != lease.ip
                ),
            )
            for lease in self._pool.leases(now)
        )

    def refresh(self, now: float) -> None:
        """Notice that links are gone; to be called when one is."""
        gone = [port for port in self._owners if port not in self._engine.plugs]
        for port in gone:
            for lease in self._pool.leave(self._owners.pop(port), now):
                self._tell(Released(lease.mac, lease.ip), now)
        if gone:
            self._follow(now)
            self._save_soon(now)
        self.names.refresh()

    def close(self) -> None:
        """Save what has not been saved yet."""
        if self._ends is not None:
            self._ends.cancel()
        if self._save is not None:
            self._save.cancel()
            self._write(self._pool.snapshot(self._engine.loop.now()))

    def _in_use(self, ip: bytes, mac: bytes, now: float) -> bool:
        """Whether a machine that chose `ip` itself would be cut off if `mac` got it."""
        return self._engine.stack.who_has(ip, now) not in (b"", mac)

    def _owner(self, port: Port) -> int:
        """A number for a port that no other port will ever have."""
        if port not in self._owners:
            self._last_owner += 1
            self._owners[port] = self._last_owner
        return self._owners[port]

    def _tell(self, event: Leased | Released, now: float) -> None:
        for observer in self.observers:
            observer(event, now)

    def _follow(self, now: float) -> None:
        """Let reservations and names be those of the leases, until the next one ends."""
        leases = self._pool.leases(now)
        wanted = {lease.ip: lease.mac for lease in leases}
        wanted |= {ip: mac for mac, ip in self._pool.fixed.items()}
        for ip in self._reserved.keys() - wanted.keys():
            self._engine.stack.reserve(ip, b"")
        for ip, mac in wanted.items():
            if self._reserved.get(ip) != mac:
                self._engine.stack.reserve(ip, mac)
        self._reserved = wanted
        self.names.leased(leases)
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        when = self._pool.next_timer(now)
        if when is not None:
            loop = self._engine.loop
            self._ends = loop.call_at(when, lambda: self._follow(loop.now()))

    # The file

    def _restore(self, now: float) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
            if len(data) > MAX_FILE:
                raise ValueError("too large")
            self._pool.restore(msgspec.json.decode(data, type=Snapshot), now)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _log.warning("the leases in %s are not taken over: %s", self._path, error)

    def _save_soon(self, now: float) -> None:
        if self._path is not None and self._save is None:
            self._save = self._engine.loop.call_at(now + SAVE_AFTER_S, self._save_now)

    def _save_now(self) -> None:
        loop = self._engine.loop
        if self._is_saving:  # the disk is slow: once more when it is done
            self._save = loop.call_at(loop.now() + SAVE_AFTER_S, self._save_now)
            return
        self._save = None
        self._is_saving = True
        snapshot = self._pool.snapshot(loop.now())
        loop.in_thread(lambda: self._write(snapshot), self._saved)

    def _saved(self, done: Future[None]) -> None:
        self._is_saving = False
        error = done.exception()
        if error is not None:
            raise error

    def _write(self, snapshot: Snapshot) -> None:
        assert self._path is not None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fs.write_atomically(self._path, msgspec.json.encode(snapshot), mode=0o600)
        except OSError as error:
            _log.warning("the leases cannot be kept in %s: %s", self._path, error)

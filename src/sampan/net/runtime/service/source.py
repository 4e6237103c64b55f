"""Where DNS answers come from, as the host or the user says, and as that changes.

Where `/etc/resolv.conf` names a resolver on the host itself (systemd-resolved's 127.0.0.53,
dnsmasq), that is the right one to ask: it knows which of the host's networks, a VPN's for
instance, has which names, and the list of servers behind it does not say.

A host without that file (macOS has one for compatibility; a container may not) has to be told
whom to ask; until then machines find only the names of this network, and the log says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sampan.base import log
from sampan.net.runtime.service.follow import FollowedFile
from sampan.net.services import hosts, resolver
from sampan.net.services.dnsmodel import Config, Split
from sampan.net.services.hosts import Hosts
from sampan.net.services.resolver import Resolver

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from.

    `resolver`, if given, is asked; else the file `configuration` says who. `splits` are domains
    with servers of their own. `hosts` are files with names; a name of the host's loopback in
    them means `loopback`, the host's address on the network (empty: is left out).
    """

    resolver: Resolver | None = None
    configuration: Path = Path("/etc/resolv.conf")
    splits: tuple[Split, ...] = ()
    hosts: tuple[Path, ...] = (Path("/etc/hosts"),)
    loopback: str = ""


class Follower:
    """`sources` as they are now."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._configuration = FollowedFile(sources.configuration)
        self._hosts = tuple(FollowedFile(path) for path in sources.hosts)
        self._texts = [""] * len(self._hosts)
        self._is_first = True
        self._told = ""
        self.config = Config(resolver=sources.resolver or Resolver(), splits=sources.splits)

    def look(self, now: float) -> tuple[Config | None, Hosts | None]:
        """Whom to ask, and the names of the hosts files; None for what has not changed."""
        first, self._is_first = self._is_first, False
        config, table = self._config(now), self._table(now)
        if config is not None or first:
            config = self.config = config or self.config
            servers = ", ".join(each.address for each in config.resolver.servers)
            _log.info("names are asked of %s", servers or "nobody")
        if table is None and first:
            table = Hosts()
        return config, table

    def _config(self, now: float) -> Config | None:
        """The new configuration, if it is another."""
        if self._sources.resolver is not None:
            return None
        text = self._configuration.look(now)
        problem = self._configuration.problem
        if problem != self._told:
            self._told = problem
            if problem and not self.config.resolver.servers:
                _log.warning("%s: machines find no names outside this network", problem)
        if text is None:
            return None
        config = Config(resolver=resolver.parse(text), splits=self._sources.splits)
        return config if config != self.config else None

    def _table(self, now: float) -> Hosts | None:
        """All names of the hosts files, if one of them changed."""
        texts = [each.look(now) for each in self._hosts]
        if all(text is None for text in texts):
            return None
        pairs = zip(texts, self._texts, strict=True)
        self._texts = [old if new is None else new for new, old in pairs]
        loopback = self._sources.loopback
        tables = (hosts.parse(each, loopback=loopback) for each in self._texts)
        return Hosts(tuple(entry for table in tables for entry in table.entries))

"""DNS on a network: questions of machines at port 53, over UDP and TCP, and sockets outside.

Whom to ask follows the host (`service.source`): its files are looked at when a machine asks, at
most once a second, and from time to time; a change empties the cache, and what is being asked is
asked anew.

Every address of the network's own answers, the gateway's in both families above all.

    gates        may say what becomes of a question (`dnsmodel.Verdict`); the first that does
                 decides: a policy, hooks
    observers    are told what machines asked and learnt (`dnsmodel.Resolved`)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from sampan.base import log
from sampan.base.loop import Timer
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import ServiceDatagram
from sampan.net.runtime.channel import Conversation
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.runtime.service.dnstalk import DnsTalk
from sampan.net.runtime.service.source import Follower, Sources
from sampan.net.runtime.service.upstream import Upstream
from sampan.net.services.alias import Aliases
from sampan.net.services.dns import Forwarder
from sampan.net.services.dnsmodel import (
    Client,
    Close,
    Config,
    Reply,
    Resolved,
    SendQuery,
    Verdict,
)
from sampan.net.services.hosts import Book, Entry, Hosts
from sampan.net.services.resolver import Server
from sampan.net.wire.address import format_ip, parse_ip
from sampan.net.wire.dns import Question, parse_name

PORT = 53
LOOK_EVERY_S = 5.0
WARN_EVERY_S = 60.0
MAX_ADDED = 4096
MANY_MACHINES = 256  # that learnt something, before it is looked which are still there

_log = log.get(__name__)

Gate: TypeAlias = Callable[[Client, Question], Verdict | None]
Observer: TypeAlias = Callable[[Resolved, float], None]


class DnsService:
    """Answers machines' questions.

    Args:
        engine: whose machines; service port 53 is taken.
        outbound: where port 53 over TCP is served.
        book: the names that are ours; its tables "hosts" and "added" are filled here.
        sources: whom to ask for others.
        aliases: learns what machines are told, for policies and views.
    """

    def __init__(
        self,
        engine: Engine,
        outbound: HostOutbound,
        book: Book,
        sources: Sources,
        aliases: Aliases,
    ) -> None:
        self.gates: list[Gate] = []
        self.observers: list[Observer] = [self._learn, self._warn]
        self._warned: dict[int, float] = {}  # links, and when
        self._engine = engine
        self._loop = engine.loop
        self._book = book
        self._aliases = aliases
        self._many = MANY_MACHINES
        self._ours = tuple(sorted(engine.stack.network.ours))
        self._talks: dict[int, DnsTalk] = {}
        self._last_talk = 0
        self._added: dict[str, tuple[str, ...]] = {}
        self._upstream = Upstream(engine.loop, self)
        self._timer: Timer | None = None
        self._forwarder = Forwarder(
            Config(), book, _random_id, intercept=self._intercept,
            per_s=engine.stack.limits.names_per_s,
        )  # fmt: skip
        self._follower = Follower(sources)
        self._watch()
        engine.serve(PORT, self._received)
        for address in self._ours:
            outbound.serve(Endpoint(address, PORT), self._begin)

    # For whoever assembles and controls the network

    @property
    def config(self) -> Config:
        """Whom it asks now."""
        return self._follower.config

    def replace(self, sources: Sources) -> None:
        """Take answers from elsewhere."""
        self._follower = Follower(sources)
        self._look(self._loop.now())

    def add(self, name: str, address: str) -> None:
        """Let machines find `address` by `name`, beside those it has already.

        Raises:
            ValueError: one of them is none, or there are too many.
        """
        if not parse_name(name) or len(self._added) >= MAX_ADDED:
            raise ValueError(f"{name!r} cannot be added")
        parse_ip(address)
        known = self._added.get(name.lower(), ())
        self._added[name.lower()] = tuple(dict.fromkeys((*known, address)))
        self._book.replace("added", self.added)

    def remove(self, name: str) -> bool:
        """Forget what was added by this name; whether there was something."""
        known = self._added.pop(name.lower(), None)
        self._book.replace("added", self.added)
        return known is not None

    @property
    def added(self) -> Hosts:
        """The names that were added."""
        pairs = ((name, each) for name, known in self._added.items() for each in known)
        return Hosts(tuple(Entry(address, (name,)) for name, address in pairs))

    def close(self) -> None:
        """Give all sockets back."""
        self._upstream.close_all()
        self._look_timer.cancel()
        if self._timer is not None:
            self._timer.cancel()

    # Questions

    def _received(self, datagram: ServiceDatagram, now: float) -> None:
        address, port = datagram.source
        if datagram.destination.address in self._ours and any(address) and port:
            asked = self._ours.index(datagram.destination.address)
            client = Client(address, port, connection=asked, link=datagram.port.number)
            self.query(datagram.payload, client, now)

    def _begin(self, conversation: Conversation) -> DnsTalk:
        self._last_talk += 1
        talk = self._talks[self._last_talk] = DnsTalk(
            self, self._loop, conversation, self._last_talk
        )
        return talk

    def query(self, data: bytes, client: Client, now: float) -> None:
        """A machine asks."""
        self._look(now)
        self._forwarder.query_received(data, client, now)
        self._settle(now)

    def talk_ended(self, number: int) -> None:
        """A machine's connection is over."""
        self._talks.pop(number, None)
        self._forwarder.client_gone(number)

    def _intercept(self, client: Client, question: Question) -> Verdict | None:
        verdicts = (gate(client, question) for gate in self.gates)
        return next((each for each in verdicts if each is not None), None)

    # Answers

    def answered(self, exchange: int, data: bytes, server: Server) -> None:
        """See `Asker.answered`."""
        now = self._loop.now()
        self._forwarder.answer_received(exchange, data, server, now)
        self._settle(now)

    def failed(self, exchange: int) -> None:
        """See `Asker.failed`."""
        self._forwarder.query_failed(exchange)
        self._settle(self._loop.now())

    def _settle(self, now: float) -> None:
        """Do what the forwarder wants done, and tell of what happened."""
        while actions := self._forwarder.actions():
            for action in actions:
                match action:
                    case SendQuery():
                        if not self._upstream.send(action):
                            self._forwarder.query_failed(action.exchange)
                    case Close(exchange=exchange):
                        self._upstream.close(exchange)
                    case Reply():
                        self._reply(action, now)
        for event in self._forwarder.events():
            for observer in self.observers:
                observer(event, now)
        if self._timer is None:
            self._arm()

    def _reply(self, reply: Reply, now: float) -> None:
        client = reply.client
        if client.over_tcp:
            talk = self._talks.get(client.connection)
            if talk is not None:
                talk.reply(reply.data)
            return
        source = Endpoint(self._ours[client.connection], PORT)
        destination = Endpoint(client.address, client.port)
        self._engine.stack.send_datagram(source, destination, reply.data, now)

    def _learn(self, event: Resolved, now: float) -> None:
        aliases, stack = self._aliases, self._engine.stack
        aliases.learn(event.client.address, event.question, event.answer, now)
        if len(aliases) > self._many:  # machines that left, or never were
            stations = stack.stations
            aliases.keep(lambda machine: machine in stations)
            self._many = max(MANY_MACHINES, 2 * len(aliases))

    def _warn(self, event: Resolved, now: float) -> None:
        """Say once in a while that a link asks for too much."""
        if event.via != "limited":
            return
        self._warned = {link: at for link, at in self._warned.items() if now < at + WARN_EVERY_S}
        if event.client.link not in self._warned:
            self._warned[event.client.link] = now
            asker = format_ip(event.client.address)
            _log.warning("%s asks for too many names: some are answered with a failure", asker)

    def _arm(self) -> None:
        """Wait for the next deadline; those that come up meanwhile are later."""
        when = self._forwarder.next_timer()
        self._timer = self._loop.call_at(when, self._fired) if when is not None else None

    def _fired(self) -> None:
        self._timer = None
        now = self._loop.now()
        self._forwarder.timer_fired(now)
        self._settle(now)

    # What the host knows

    def _watch(self) -> None:
        self._look(self._loop.now())
        self._look_timer = self._loop.call_at(self._loop.now() + LOOK_EVERY_S, self._watch)

    def _look(self, now: float) -> None:
        """Take over what changed on the host."""
        config, table = self._follower.look(now)
        if table is not None:
            self._book.replace("hosts", table)
        if config is not None:
            self._forwarder.replace(config, now)
            if self._timer is not None:  # the new deadlines may be earlier
                self._timer.cancel()
                self._timer = None
            self._settle(now)


def _random_id() -> int:
    return int.from_bytes(os.urandom(2), "big")

"""The DNS forwarder: answers what it knows, asks all servers at once for what it does not.

    query ──► malformed or not a plain question ──► refused in kind
          ├─► intercepted (a policy, a hook)    ──► answered so, or goes on another way, or later
          ├─► a name of ours (`Book`)           ──► answered
          ├─► in the cache                      ──► answered
          └─► asked of every server that is responsible, at once
                first answer that says yes or "no such name" ──► answered and cached
                truncated ──► asked of that server again over TCP; kept in case that fails
                refused, failed ──► the others may still answer; if all do it, that is the answer
                time passes ──► asked again, and in the end answered with a failure

Who is responsible: the servers of the longest split domain that the name ends in, else the
general ones. The same question from several machines is asked once.

Against forged answers: each exchange has a random 16-bit id and, because the runtime opens a
socket for each, a random port; an answer must come from the server that was asked, carry the
id, and repeat the question. The caller gives `random_id`.

The caller carries out `actions()` after each call: `SendQuery` (open a socket for the exchange,
or use the one it has, and send), `Close` (close the exchange's socket), `Reply`. Sockets are
never kept for later, so a change of the host's network concerns nobody. `events()` tells what
machines asked and learnt.

Limits: questions in flight in all, those of one link in flight and over time (`dnsshare`), askers
that wait for one question, the cache. What is too much is answered with a failure. Not carried: the AD and CD bits, client EDNS options, zone transfers.

It may not know sockets, files or time; `now` counts seconds of any clock that does not go back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from sampan.net.services import dnsanswer
from sampan.net.services.dnscache import Cache, Key
from sampan.net.services.dnsmodel import (
    Action,
    Client,
    Close,
    Config,
    Reply,
    Resolved,
    SendQuery,
    Verdict,
)
from sampan.net.services.dnsshare import Shares
from sampan.net.services.hosts import Book
from sampan.net.services.resolver import Server
from sampan.net.wire.dns import CLASS_IN, Message, Name, Question, ResponseCode, fold, parse_name
from sampan.net.wire.error import MalformedError

MAX_PENDING = 1024
PER_S = 500
MAX_WAITERS = 64
MAX_DELAYED = 256
_TRANSFERS = (251, 252)
_HEADER_LENGTH = 12
_RESPONSE_BIT = 0x80


@dataclass(slots=True)
class _Exchange:
    """One question to one server."""

    server: Server
    identifier: int
    over_tcp: bool
    data: bytes


@dataclass(slots=True)
class _Pending:
    """One question, who waits for its answer, and what is known so far."""

    key: Key
    query: Message
    servers: tuple[Server, ...]
    deadline: float
    attempts_left: int
    waiters: list[tuple[Client, Message]]
    link: int
    exchanges: dict[int, _Exchange] = field(default_factory=dict)
    second_best: tuple[Message, str] | None = None


_USUAL = Verdict()


def _nothing(client: Client, question: Question) -> Verdict | None:
    return None


class Forwarder:
    """Answers the machines of one network.

    Args:
        config: whom to ask; see `replace`.
        book: the names that are ours.
        random_id: gives an unguessable number from 0 to 65535.
        intercept: what is to become of a question that is not to go the usual way.
        per_s: how many questions of one link are passed on in a second.
    """

    def __init__(
        self,
        config: Config,
        book: Book,
        random_id: Callable[[], int],
        *,
        intercept: Callable[[Client, Question], Verdict | None] = _nothing,
        per_s: float = PER_S,
    ) -> None:
        self._book = book
        self._random_id = random_id
        self._intercept = intercept
        self._cache = Cache()
        self._shares = Shares(per_s)
        self._pending: dict[Key, _Pending] = {}
        self._of_exchange: dict[int, _Pending] = {}
        self._last_exchange = 0
        self._actions: list[Action] = []
        self._events: list[Resolved] = []
        self._delayed: list[tuple[float, Verdict, Client, Message]] = []
        self._set(config)

    def replace(self, config: Config, now: float) -> None:
        """Ask by `config` from now on: the cache is emptied, open questions are asked anew."""
        self._set(config)
        self._cache.clear()
        for pending in list(self._pending.values()):
            self._close(pending, list(pending.exchanges))
            pending.servers = self._responsible(pending.key.name)
            pending.attempts_left = self._config.resolver.attempts
            pending.second_best = None
            self._ask(pending, now)

    def query_received(self, data: bytes, client: Client, now: float) -> None:
        """A machine asks: the payload of its datagram, or one message of its connection."""
        try:
            query = Message.parse(data)
        except MalformedError:
            self._refuse_malformed(data, client)
            return
        if query.response:
            return  # answering answers could go on for ever
        code = _fault(query)
        if code is not None:
            self._reply(client, query, dnsanswer.failure(code), "refused")
            return
        question = query.questions[0]
        verdict = self._intercept(client, question) or _USUAL
        if verdict.delay_s <= 0:
            self._decided(verdict, client, query, now)
        elif len(self._delayed) < MAX_DELAYED:
            self._delayed.append((now + verdict.delay_s, verdict, client, query))

    def _decided(self, verdict: Verdict, client: Client, query: Message, now: float) -> None:
        """It is known what is to become of a question, and time for it."""
        if verdict.answer is not None:
            refused = verdict.answer.code == ResponseCode.REFUSED
            self._reply(client, query, verdict.answer, "refused" if refused else "intercepted")
            return
        question = verdict.question or query.questions[0]
        known = dnsanswer.local(question, self._book)
        if known is not None:
            self._reply(client, query, dnsanswer.renamed(query, question.name, known), "local")
            return
        key = Key.of(question, signed=dnsanswer.wants_signatures(query))
        cached = self._cache.get(key, now)
        if cached is not None:
            self._reply(client, query, dnsanswer.renamed(query, question.name, cached), "cache")
            return
        self._wait(key, client, query, question, now)

    def answer_received(self, exchange: int, data: bytes, server: Server, now: float) -> None:
        """A server answers on the socket of `exchange`. What does not fit is passed over."""
        pending = self._of_exchange.get(exchange)
        if pending is None:
            return
        asked = pending.exchanges[exchange]
        try:
            answer = Message.parse(data)
        except MalformedError:
            return
        if server != asked.server or not _answers(answer, asked, pending):
            return
        if answer.truncated and not asked.over_tcp:
            pending.second_best = (answer, server.address)
            self._close(pending, [exchange])
            self._send(pending, server, over_tcp=True)
        elif answer.code in (ResponseCode.NO_ERROR, ResponseCode.NAME_ERROR):
            self._cache.put(pending.key, answer, now)
            self._finish(pending, answer, server.address)
        else:
            pending.second_best = pending.second_best or (answer, server.address)
            self._failed(pending, exchange)

    def query_failed(self, exchange: int) -> None:
        """The exchange's socket failed or its connection ended: that server will not answer."""
        pending = self._of_exchange.get(exchange)
        if pending is not None:
            self._failed(pending, exchange)

    def client_gone(self, connection: int) -> None:
        """A machine's TCP connection ended: nobody waits there any more."""
        for pending in self._pending.values():
            pending.waiters = [
                each
                for each in pending.waiters
                if not (each[0].over_tcp and each[0].connection == connection)
            ]

    def next_timer(self) -> float | None:
        """When `timer_fired` is due."""
        deadlines = [pending.deadline for pending in self._pending.values()]
        return min([*deadlines, *(each[0] for each in self._delayed)], default=None)

    def timer_fired(self, now: float) -> None:
        """Ask again, or give up, where it is time; go on with what was delayed."""
        due = [each for each in self._delayed if each[0] <= now]
        self._delayed = [each for each in self._delayed if each[0] > now]
        for _, verdict, client, query in due:
            self._decided(verdict, client, query, now)
        for pending in [each for each in self._pending.values() if each.deadline <= now]:
            if pending.attempts_left > 0:
                self._ask(pending, now)
            else:
                self._give_up(pending)

    def actions(self) -> list[Action]:
        """What to do, in this order, since the last call."""
        actions, self._actions = self._actions, []
        return actions

    def events(self) -> list[Resolved]:
        """What was answered since the last call."""
        events, self._events = self._events, []
        return events

    def _set(self, config: Config) -> None:
        self._config = config
        splits = [(fold(parse_name(each.domain)), each.servers) for each in config.splits]
        self._splits = sorted(splits, key=lambda split: -len(split[0]))

    def _responsible(self, name: Name) -> tuple[Server, ...]:
        for domain, servers in self._splits:
            if not domain or name[-len(domain) :] == domain:
                return servers
        return self._config.resolver.servers

    def _wait(
        self, key: Key, client: Client, query: Message, question: Question, now: float
    ) -> None:
        pending = self._pending.get(key)
        if pending is not None:
            again = any(
                who == client and earlier.identifier == query.identifier
                for who, earlier in pending.waiters
            )
            if not again and len(pending.waiters) < MAX_WAITERS:
                pending.waiters.append((client, query))
            return
        servers = self._responsible(key.name)
        if not servers or not self._has_room(client, len(servers), now):
            failure = dnsanswer.failure(ResponseCode.SERVER_FAILURE)
            self._reply(client, query, failure, "limited" if servers else "failed")
            return
        attempts = self._config.resolver.attempts
        asked = replace(query, questions=(question,))
        pending = _Pending(key, asked, servers, now, attempts, [(client, query)], client.link)
        self._pending[key] = pending
        self._ask(pending, now)

    def _has_room(self, client: Client, servers: int, now: float) -> bool:
        return len(self._pending) < MAX_PENDING and self._shares.take(client.link, servers, now)

    def _ask(self, pending: _Pending, now: float) -> None:
        """Ask every server, or ask again; one that is being asked over TCP is left alone."""
        resolver = self._config.resolver
        pending.attempts_left -= 1
        pending.deadline = now + resolver.timeout_s
        open_ = {each.server: (number, each) for number, each in pending.exchanges.items()}
        for server in pending.servers:
            if server not in open_:
                self._send(pending, server, over_tcp=resolver.use_tcp)
            elif not open_[server][1].over_tcp:
                number, exchange = open_[server]
                self._actions.append(SendQuery(number, server, exchange.data, over_tcp=False))

    def _send(self, pending: _Pending, server: Server, *, over_tcp: bool) -> None:
        identifier = self._random_id() & 0xFFFF
        data = dnsanswer.upstream(pending.query, identifier)
        self._last_exchange += 1
        number = self._last_exchange
        pending.exchanges[number] = _Exchange(server, identifier, over_tcp, data)
        self._of_exchange[number] = pending
        self._actions.append(SendQuery(number, server, data, over_tcp))

    def _failed(self, pending: _Pending, exchange: int) -> None:
        self._close(pending, [exchange])
        if not pending.exchanges:
            self._give_up(pending)

    def _give_up(self, pending: _Pending) -> None:
        failure = (dnsanswer.failure(ResponseCode.SERVER_FAILURE), "failed")
        self._finish(pending, *(pending.second_best or failure))

    def _finish(self, pending: _Pending, answer: Message, via: str) -> None:
        del self._pending[pending.key]
        self._shares.give_back(pending.link)
        self._close(pending, list(pending.exchanges))
        for client, query in pending.waiters:
            name = pending.query.questions[0].name
            self._reply(client, query, dnsanswer.renamed(query, name, answer), via)

    def _close(self, pending: _Pending, exchanges: Iterable[int]) -> None:
        for number in exchanges:
            del pending.exchanges[number]
            del self._of_exchange[number]
            self._actions.append(Close(number))

    def _reply(self, client: Client, query: Message, answer: Message, via: str) -> None:
        data = dnsanswer.emit(query, answer, over_tcp=client.over_tcp)
        self._actions.append(Reply(client, data))
        if query.questions:
            self._events.append(Resolved(client, query.questions[0], answer, via))

    def _refuse_malformed(self, data: bytes, client: Client) -> None:
        """A header is enough to say that the rest makes no sense."""
        if len(data) >= _HEADER_LENGTH and not data[2] & _RESPONSE_BIT:
            query = Message(int.from_bytes(data[:2], "big"))
            failure = dnsanswer.failure(ResponseCode.FORMAT_ERROR)
            self._reply(client, query, failure, "refused")


def _fault(query: Message) -> int | None:
    """Why a query is none that can be forwarded, as the code that says so."""
    if query.opcode != 0:
        return ResponseCode.NOT_IMPLEMENTED
    if len(query.questions) != 1:
        return ResponseCode.FORMAT_ERROR
    [question] = query.questions
    if question.network != CLASS_IN or question.kind in _TRANSFERS:
        return ResponseCode.REFUSED
    return None


def _answers(answer: Message, asked: _Exchange, pending: _Pending) -> bool:
    """Whether a message is an answer to what was asked.

    One that has failed, or is cut off, need not repeat the question.
    """
    if not answer.response or answer.identifier != asked.identifier:
        return False
    if not dnsanswer.can_be_sent(answer):
        return False
    if not answer.questions:
        failed = answer.code not in (ResponseCode.NO_ERROR, ResponseCode.NAME_ERROR)
        return failed or (answer.truncated and not asked.over_tcp)
    question = answer.questions[0]
    return fold(question.name) == pending.key.name and question.kind == pending.key.kind

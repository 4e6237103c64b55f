"""Asks hooks, one after the other, and bears whatever they do.

A hook that raises, or answers with something that cannot be, costs what it was asked about: it
is refused. Its traceback is logged the first time. A hook that takes longer than `SLOW_S` is
named in the log, again when it takes twice as long as it did at worst.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from sampan.base import log
from sampan.net.hook import (
    Allow,
    Answer,
    Delay,
    DnsQuery,
    FlowInfo,
    Hook,
    Hooks,
    HttpRequest,
    Kind,
    Refuse,
    Resolve,
    Respond,
    Rewrite,
)
from sampan.net.runtime.view.translate import answer_of, head_of, question_of, reply_of
from sampan.net.wire.address import parse_ip

SLOW_S = 0.1
_MAX_PORT = 0xFFFF
FAILED = "a hook failed"
_log = log.get(__name__)
_Subject = TypeVar("_Subject", FlowInfo, HttpRequest, DnsQuery)


@dataclass(frozen=True, slots=True)
class Verdict(Generic[_Subject]):
    """What all hooks together said.

    `subject` is what the last of them made of it; `refused`, if not None, is why it may not pass;
    `answer` is to be given instead of asking the world.
    """

    subject: _Subject
    refused: str | None = None
    delay_s: float = 0.0
    answer: Respond | Resolve | None = None


class Inquiry:
    """Asks `hooks`; `clock` measures how long that takes."""

    def __init__(self, hooks: Hooks, clock: Callable[[], float] = time.perf_counter) -> None:
        self.hooks = hooks
        self.failures: dict[str, int] = {}  # by the hook's name
        self._clock = clock
        self._worst: dict[str, float] = {}

    def flow(self, info: FlowInfo) -> Verdict[FlowInfo]:
        """May this flow be?"""
        return self._ask(Kind.FLOW, info)

    def http_request(self, request: HttpRequest) -> Verdict[HttpRequest]:
        """What becomes of this request?"""
        return self._ask(Kind.HTTP_REQUEST, request)

    def dns(self, query: DnsQuery) -> Verdict[DnsQuery]:
        """What becomes of this query?"""
        return self._ask(Kind.DNS, query)

    def _ask(self, kind: Kind, subject: _Subject) -> Verdict[_Subject]:
        verdict = Verdict(subject)
        for hook in self.hooks.of(kind):
            began = self._clock()
            try:
                answer = hook(verdict.subject)
                verdict, is_last = _heard(verdict, answer)
            except (Exception, SystemExit):  # noqa: BLE001  whatever a user's function raises
                self._failed(hook)
                return Verdict(subject, refused=FAILED)
            finally:
                self._measured(hook, self._clock() - began)
            if is_last:
                break
        return verdict

    def _failed(self, hook: Hook[_Subject]) -> None:
        count = self.failures[hook.name] = self.failures.get(hook.name, 0) + 1
        if count == 1:
            _log.exception("the hook %s failed; further failures are only counted", hook.name)

    def _measured(self, hook: Hook[_Subject], seconds: float) -> None:
        if seconds > max(SLOW_S, 2 * self._worst.get(hook.name, 0.0)):
            self._worst[hook.name] = seconds
            _log.warning(
                "the hook %s took %.0f ms, in which the network stood still",
                hook.name, seconds * 1000,
            )  # fmt: skip


def _heard(verdict: Verdict[_Subject], answer: Answer) -> tuple[Verdict[_Subject], bool]:
    """The verdict with one more answer, and whether that is the last word."""
    subject = verdict.subject
    match answer:
        case None:
            return verdict, False
        case Allow():
            return verdict, True
        case Refuse(reason=reason):
            return replace(verdict, refused=str(reason)), True
        case Delay(seconds=seconds):
            return replace(verdict, delay_s=verdict.delay_s + seconds), False
        case Rewrite(to=to) if type(to) is type(subject):
            _check(to, subject)
            return replace(verdict, subject=to), False
        case Respond() if isinstance(subject, HttpRequest):
            _typed(answer)
            reply_of(answer)
            return replace(verdict, answer=answer), True
        case Resolve() if isinstance(subject, DnsQuery):
            _typed(answer)
            answer_of(question_of(subject), answer)
            return replace(verdict, answer=answer), True
        case _:
            raise TypeError(f"{answer!r} is no answer about a {type(subject).__name__}")


def _typed(value: msgspec.Struct) -> None:
    """Check the types of a struct that somebody else made.

    Raises:
        msgspec.ValidationError: a field is of another type.
    """
    msgspec.convert(msgspec.structs.asdict(value), type(value), builtin_types=(bytes,))


def _check(made: FlowInfo | HttpRequest | DnsQuery, seen: object) -> None:
    """Whether a hook made something sound of what it saw.

    Raises:
        ValueError: it did not.
        SampanError: it did not.
    """
    _typed(made)
    if isinstance(made, FlowInfo):
        parse_ip(made.address)
        if not 0 <= made.port <= _MAX_PORT:
            raise ValueError(f"{made.port} is no port")
    elif isinstance(made, DnsQuery):
        question_of(made)
    elif isinstance(seen, HttpRequest) and head_of(made).framing() != head_of(seen).framing():
        raise ValueError("the headers that say how long the body is are not yours to change")

"""What ought to happen in conversations over vsock: the model that test_vsock_conversation.py holds against.

It is that of a pair of stream sockets. What is said is heard in order, once, and whole up to where
its speaker finished or closed; who has heard all of it hears the end; and nobody hears an end, or
fails to speak, whose other end did nothing of the kind. A conversation has phases. In each both
sides do something at once, and both have come to rest before the next one begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

Side = Literal["host", "guest"]
SIDES: tuple[Side, Side] = ("host", "guest")
DEFAULT_BUFFER = 256 << 10  # of a guest
MESSAGES = 600  # at most, in one go
PLAIN = 4096  # who sends less at a time fills a guest's buffer with more than data
Action = tuple[Any, ...]


def other(side: Side) -> Side:
    return "guest" if side == "host" else "host"


@dataclass(frozen=True)
class Talk:
    """One connection, or attempts at one. `phases` are what (host, guest) do; the rest of them in `ending`."""

    caller: Side
    dialect: str
    door: (
        str  # open: somebody accepts; nobody: there is none; deaf: nobody accepts, until it is shut
    )
    crowd: int  # how many come to a deaf door
    buffer: int  # of the guest; 0: as it is by default
    chunks: tuple[int, int]
    begins: int
    phases: tuple[tuple[tuple[Action, ...], tuple[Action, ...]], ...]
    ending: str


@dataclass
class Expected:
    """What an end has been told to do so far."""

    side: Side
    chunk: int
    buffer: int = DEFAULT_BUFFER
    offered: int = 0
    appetite: float = 0
    is_finished: bool = False
    is_deaf: bool = False
    is_closing: bool = False
    is_aborted: bool = False

    @property
    def is_leaving(self) -> bool:
        return self.is_closing or self.is_aborted

    def take(self, action: Action, peer: Expected) -> list[Any] | None:
        """An order; None if the action makes no sense any more."""
        verb, *rest = action
        if self.is_aborted or (self.is_closing and verb != "abort"):
            return None
        match verb:
            case "send" if not self.is_finished:
                rest = [min(rest[0], min(self.chunk, peer.chunk) * MESSAGES)]
                self.offered += rest[0]
            case "read":
                self.appetite += math.inf if rest[0] is None else rest[0]
            case "finish" if not self.is_finished:
                self.is_finished = True
            case "deafen":
                self.is_deaf = True
            case "close":
                self.is_closing = True
            case "abort":
                self.is_aborted = True
            case "buffer" if self._may_resize(peer):
                self.buffer = rest[0]
                rest = [*rest, self._waiting(peer)]
            case _:
                return None
        return [verb, *rest]

    def _waiting(self, peer: Expected) -> int:
        return int(peer.offered - min(peer.offered, self.appetite))

    def _may_resize(self, peer: Expected) -> bool:
        """Whether a guest's buffer can be changed while all that was said lies in it."""
        waiting = self._waiting(peer)
        if self.is_deaf or peer.is_leaving or waiting > self.buffer:
            return False
        return not waiting or peer.chunk >= PLAIN

    def goal(self, peer: Expected) -> list[Any]:
        """[how much it must have heard, whether the end, whether to be closed, to have said all]."""
        if self.is_aborted:
            return [None, False, True, False]
        is_cut = peer.is_aborted or (peer.is_deaf and peer.side == "guest")
        is_heard = not peer.is_deaf and self.offered <= peer.appetite
        peer_leaves = peer.is_closing and not self.is_deaf and peer.offered <= self.appetite
        if self.is_closing:
            return [None, False, is_cut or is_heard or peer_leaves, False]
        if self.is_deaf:
            return [None, False, False, is_cut]
        if peer.is_aborted:
            return [self.appetite, False, False, True]
        hears_end = (peer.is_finished or peer.is_closing) and self.appetite > peer.offered
        return [min(self.appetite, peer.offered), hears_end, False, is_cut]

    def check(self, peer: Expected, mine: dict[str, Any], theirs: dict[str, Any]) -> None:
        """See whether what an end reports may be."""
        assert mine["wrong"] is None
        assert mine["got"] <= self.appetite
        assert mine["got"] <= peer.offered
        if mine["ended"] is not None and not self.is_deaf:
            assert peer.is_finished or peer.is_leaving
            assert mine["got"] == theirs["sent"]
        if mine["ended"]:
            if self.side == "host":
                assert mine["ended"] == "ECONNRESET"
            else:  # Linux says so, after its own `shutdown`, instead of telling the end
                assert mine["ended"] == "ENOTCONN"
                assert self.is_finished or self.is_deaf
            assert peer.is_leaving or (peer.is_finished and peer.is_deaf) or self.is_deaf
        if mine["broken"]:
            assert mine["broken"] in ("EPIPE", "ECONNRESET")
            assert peer.is_deaf or peer.is_leaving


@dataclass
class Phase:
    """What each side does, and when it has done that."""

    orders: dict[Side, list[list[Any]]] = field(default_factory=lambda: {"host": [], "guest": []})
    goals: dict[Side, dict[str, list[Any]]] = field(
        default_factory=lambda: {"host": {}, "guest": {}}
    )


class Performance:
    """A talk being held: orders and goals, phase by phase. `name` is that of its ends and its door."""

    def __init__(self, talk: Talk, name: str, port: int) -> None:
        self.talk = talk
        self._name = name
        self._address = port if talk.caller == "guest" else [talk.dialect, port]
        self._door = [talk.dialect, port] if talk.caller == "guest" else port
        self._ends: dict[Side, Expected] = {
            side: Expected(side, talk.chunks[number], talk.buffer or DEFAULT_BUFFER)
            for number, side in enumerate(SIDES)
        }
        self._is_shut = False
        crowd = talk.crowd if talk.door == "deaf" else 1
        self._callers = [f"{name}.{number}" for number in range(crowd)]

    def prepare(self, phase: Phase) -> None:
        """Make the door."""
        if self.talk.door != "nobody":
            backlog = 8 if self.talk.door == "open" else 2
            phase.orders[other(self.talk.caller)].append(
                ["open", self._name, self._door, backlog, self.talk.buffer]
            )

    def perform(self, number: int, phase: Phase) -> None:
        """Have its ends do what they do in a phase; -2: the last but one, -1: the last."""
        if number == self.talk.begins:
            self._begin(phase)
        if number in (-1, -2):
            self._end(number, phase)
        elif 0 <= number - self.talk.begins < len(self.talk.phases):
            self._act(self._acts(number - self.talk.begins), phase)
        if number < 0 or number >= self.talk.begins:
            self._aim(phase)

    def _begin(self, phase: Phase) -> None:
        caller, callee = self.talk.caller, other(self.talk.caller)
        chunk = {side: self._ends[side].chunk for side in SIDES}
        for name in self._callers:
            phase.orders[caller].append(
                ["call", name, self._address, self.talk.buffer, chunk[caller], f"{name} {caller}",
                 f"{name} {callee}"]
            )  # fmt: skip
        if self.talk.door == "open":
            [name] = self._callers
            phase.orders[callee].append(
                ["await", name, self._name, chunk[callee], f"{name} {callee}", f"{name} {caller}"]
            )

    def _acts(self, number: int) -> dict[Side, tuple[Action, ...]]:
        """What both sides do; nothing may be on its way while a buffer changes: it would be lost."""
        acts = dict(zip(SIDES, self.talk.phases[number], strict=True))
        if all(act[0] != "buffer" for act in acts["guest"]):
            return acts
        others = ("buffer", "finish", "deafen")
        return {side: tuple(act for act in acts[side] if act[0] in others) for side in SIDES}

    def _act(self, acts: dict[Side, tuple[Action, ...]], phase: Phase) -> None:
        for side in SIDES:
            me, peer = self._ends[side], self._ends[other(side)]
            if side != self.talk.caller and self.talk.door != "open":
                if any(act[0] in ("close", "abort") for act in acts[side]):
                    self._shut(phase)
                continue
            for act in acts[side]:
                if self.talk.door != "open" and act[0] == "buffer":
                    continue
                if (order := me.take(act, peer)) is not None:
                    verb, *rest = order
                    phase.orders[side] += [[verb, name, *rest] for name in self._callers]

    def _end(self, number: int, phase: Phase) -> None:
        leave: tuple[Action, ...] = (("abort",),)
        stay: tuple[Action, ...] = (("read", None),)
        caller = self.talk.caller
        if number == -1:
            acts = dict.fromkeys(SIDES, leave)
        elif self.talk.door != "open":
            acts = {caller: stay, other(caller): leave}
        elif self.talk.ending == "finish":
            acts = dict.fromkeys(SIDES, (*stay, ("finish",)))
        else:
            who, verb = self.talk.ending.split()
            acts = {side: ((verb,),) if who in (side, "both") else stay for side in SIDES}
        self._act(acts, phase)

    def _shut(self, phase: Phase) -> None:
        if self.talk.door == "deaf" and not self._is_shut:
            self._is_shut = True
            phase.orders[other(self.talk.caller)].append(["shut", self._name])

    def _aim(self, phase: Phase) -> None:
        if self.talk.door == "open":
            [name] = self._callers
            for side in SIDES:
                phase.goals[side][name] = self._ends[side].goal(self._ends[other(side)])
            return
        me = self._ends[self.talk.caller]
        is_refused = self.talk.door == "nobody" or self._is_shut
        goal: list[Any] = [None, False, me.is_aborted, False]
        if is_refused and not me.is_leaving and not me.is_deaf and me.appetite:
            goal = [math.inf, True, False, True]
        phase.goals[self.talk.caller].update(dict.fromkeys(self._callers, goal))

    def check(self, reports: dict[Side, dict[str, Any]]) -> None:
        """See whether what the ends report may be."""
        for name in self._callers:
            if not any(name in reports[side] for side in SIDES):
                continue
            if self.talk.door == "open":
                for side in SIDES:
                    peer = other(side)
                    mine, theirs = reports[side][name], reports[peer][name]
                    self._ends[side].check(self._ends[peer], mine, theirs)
                continue
            report = reports[self.talk.caller][name]
            assert report["got"] == 0
            has_ended = report["ended"] is not None and not self._ends[self.talk.caller].is_deaf
            if has_ended or report["broken"] is not None:
                # as many as the backlog says may wait, and on some systems one more
                assert self.talk.door == "nobody" or self._is_shut or self.talk.crowd > 2

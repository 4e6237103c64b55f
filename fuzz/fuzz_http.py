"""Fuzz target: HTTP as it is watched, and as it is changed on its way.

The input is a conversation: a byte that says who speaks and how much, then that much.
"""

from __future__ import annotations

from sampan.net.services.httpgate import Decision, Gate, Reply
from sampan.net.services.httphead import RequestHead
from sampan.net.services.httpview import MAX_PENDING, Follower
from sampan.net.wire.error import MalformedError

MAX_TURNS = 2000


def one(data: bytes) -> None:
    """Give `data` to a follower and a gate, in one piece for each turn and byte by byte.

    Raises:
        AssertionError: the two saw different things, or something is left behind.
    """
    whole, bytewise = (_follow(data, size) for size in (1 << 16, 1))
    if whole != bytewise:
        raise AssertionError(f"what is seen depends on how the stream is cut: {whole}, {bytewise}")
    if _pass(data, 1 << 16) != _pass(data, 1):
        raise AssertionError("what passes depends on how the stream is cut")


def _pass(data: bytes, size: int) -> tuple[bytes, bytes] | str:
    gate = Gate(_decide)
    host = machine = b""
    for is_client, piece in _turns(data):
        take = gate.sent if is_client else gate.received
        for start in range(0, len(piece), size):
            try:
                output = take(memoryview(piece)[start : start + size])
            except MalformedError as error:
                return str(error)
            host += output.to_host
            machine += output.to_machine
    return host, machine


def _decide(head: RequestHead) -> Decision:
    return Decision(reply=Reply(403, "No")) if len(head.target) % 2 else Decision()


def _follow(data: bytes, size: int) -> list[object]:
    follower = Follower("192.0.2.1", 0.0)
    seen: list[object] = []
    for is_client, piece in _turns(data):
        take = follower.sent if is_client else follower.received
        for start in range(0, len(piece), size):
            take(memoryview(piece)[start : start + size], 1.0)
            if len(follower.exchanges) > MAX_PENDING:
                raise AssertionError("more exchanges at once than can be under way")
            seen += follower.exchanges
            follower.exchanges.clear()
    if data[-1:] < b"\x80":
        follower.received_end(1.0)
    follower.ended("", 1.0)
    return [*seen, *follower.exchanges, follower.gave_up, follower.language]


def _turns(data: bytes) -> list[tuple[bool, bytes]]:
    """Below 128 the client speaks, for 8 bytes times that; from 128 on the server."""
    turns: list[tuple[bool, bytes]] = []
    while data and len(turns) < MAX_TURNS:
        length = (data[0] & 0x7F) * 8
        turns.append((data[0] < 0x80, data[1 : 1 + length]))
        data = data[1 + length :]
    return turns

"""DNS messages on a TCP connection: each behind its length as 16 bits, big endian (RFC 1035, 4.2.2)."""

from __future__ import annotations

_LENGTH = 2


def frame(message: bytes) -> bytes:
    """A message as it goes onto the connection."""
    return len(message).to_bytes(_LENGTH, "big") + message


class Decoder:
    """Messages out of a connection's bytes. Holds at most one message of 64 KiB."""

    def __init__(self) -> None:
        self._rest = b""

    def received(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""
        data = self._rest + data
        found: list[bytes] = []
        start = 0
        while len(data) - start >= _LENGTH:
            end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH], "big")
            if end > len(data):
                break
            found.append(data[start + _LENGTH : end])
            start = end
        self._rest = data[start:]
        return found

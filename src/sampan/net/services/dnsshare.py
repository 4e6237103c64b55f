"""How much of the DNS forwarder's asking each link may cause, so that a spray costs only itself.

Two bounds for each link, whatever addresses its machines say they have: exchanges with servers
that are open at once (a socket each), and questions passed on over time, a bucket that `per_s`
fill each second and that holds those of `BURST_S` seconds. What the cache or the network itself
answers is free.

It may not know names, sockets or time; `now` counts seconds of any clock that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_EXCHANGES_OF_ONE = 256
BURST_S = 2.0
_MANY = 256  # links, before those that are as if they were new are forgotten


@dataclass(slots=True)
class _Share:
    tokens: float
    at: float
    asking: int = 0


class Shares:
    """The shares of all links of a network; `per_s` questions each may have passed on."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s * BURST_S)
        self._shares: dict[int, _Share] = {}

    def take(self, link: int, servers: int, now: float) -> bool:
        """Whether a question of `link` may be asked of so many servers; `give_back` ends that."""
        share = self._shares.get(link)
        if share is None:
            self._forget(now)
            share = self._shares[link] = _Share(self._most, now)
        self._fill(share, now)
        if share.tokens < 1 or (share.asking + 1) * servers > MAX_EXCHANGES_OF_ONE:
            return False
        share.tokens -= 1
        share.asking += 1
        return True

    def give_back(self, link: int) -> None:
        """A question of `link` has its answer, or never will."""
        self._shares[link].asking -= 1

    def _fill(self, share: _Share, now: float) -> None:
        share.tokens = min(self._most, share.tokens + (now - share.at) * self._per_s)
        share.at = now

    def _forget(self, now: float) -> None:
        """Links come and go: what is full again need not be remembered."""
        if len(self._shares) < _MANY:
            return
        for link, share in list(self._shares.items()):
            self._fill(share, now)
            if not share.asking and share.tokens >= self._most:
                del self._shares[link]

"""What someone may have meant: the nearest of some words."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

_LONGEST = 64  # characters; comparing two words is quadratic
_MOST = 500  # words looked at


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` is most like, when it is like one at all."""
    import difflib

    if not word or len(word) > _LONGEST:
        return None
    known = {_plain(candidate): candidate for candidate in islice(words, _MOST)}
    found = difflib.get_close_matches(_plain(word), known, n=1, cutoff=0.6)
    return known[found[0]] if found else None


def hint(word: str, words: Iterable[str]) -> str | None:
    """A `did you mean` line, when there is something to offer."""
    found = nearest(word, words)
    return f"did you mean {found!r}?" if found is not None else None


def _plain(word: str) -> str:
    return word.lower().removeprefix("cap_").replace("_", "").replace("-", "")

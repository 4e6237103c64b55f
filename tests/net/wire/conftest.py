"""The one property that every parser of `net.wire` has."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from sampan.net.wire.error import MalformedError

Refuses: TypeAlias = Callable[[Callable[[bytes], object], bytes], None]


@pytest.fixture
def refuses() -> Refuses:
    """Checks that a parser takes any cut of `data` or refuses it as malformed, nothing else."""

    def check(parse: Callable[[bytes], object], data: bytes) -> None:
        for length in range(len(data)):
            try:
                parse(data[:length])
            except MalformedError:
                continue

    return check

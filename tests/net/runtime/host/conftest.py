"""What tests of the host's side need."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def descriptors() -> Callable[[], int]:
    """How many descriptors this process has."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))

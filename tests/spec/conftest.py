"""Ways into `sampan.spec` that its tests share."""

import pytest

from sampan.errors import DocumentError
from sampan.spec.composer import compose
from sampan.spec.document import Document
from sampan.spec.load import load
from sampan.spec.source import Faults, Source


@pytest.fixture
def read():
    """Texts → the merged spec."""
    return lambda *texts: load([Source.text(text, f"{n}.yml") for n, text in enumerate(texts)])


@pytest.fixture
def faults(read):
    """Texts → `path: message` of every fault of the whole load."""

    def collect(*texts):
        with pytest.raises(DocumentError) as caught:
            read(*texts)
        return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]

    return collect


@pytest.fixture
def problems(read):
    """Texts → the faults themselves."""

    def collect(*texts):
        with pytest.raises(DocumentError) as caught:
            read(*texts)
        return caught.value.problems

    return collect


@pytest.fixture
def document():
    """A text → its document, before the rules that join documents."""
    return lambda text: Document(Source.text(text, "t.yml"))


@pytest.fixture
def nodes():
    """A text → its root node and its faults."""

    def collect(text):
        found = Faults(Source.text(text, "t.yml"))
        return compose(found), found.problems

    return collect

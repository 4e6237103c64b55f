"""Documents → one `Spec`, or every fault of every one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from sampan.errors import DocumentError
from sampan.spec import rule
from sampan.spec.document import Document
from sampan.spec.merge import merge
from sampan.spec.model import Spec
from sampan.spec.source import Source


def load(
    sources: Sequence[Source], *, resolve_package: Callable[[Path], str] | None = None
) -> Spec:
    """Read, check and merge YAML (or JSON) documents.

    `resolve_package` gives the image of a package folder, for `@pkg:FOLDER` in documents that
    are files; it may raise SampanError, which becomes a fault of the document.

    Raises:
        DocumentError: with all faults of all documents, in their order.
    """
    resolve = cache(resolve_package) if resolve_package else None
    documents = [Document(source, resolve) for source in sources]
    rule.check(documents)
    problems = [problem for document in documents for problem in document.faults.problems]
    if problems:
        raise DocumentError(problems)
    return merge([document.spec for document in documents])

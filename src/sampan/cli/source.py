"""The documents a command line names: files, `-` for standard input, http(s) addresses."""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from sampan.cli.settings import Settings
from sampan.errors import SampanError, UsageError
from sampan.spec.source import MAX_BYTES, Source

DEFAULT_NAME = "system"  # what outputs are called when no file gives a name
STDIN_NAME = "moby"  # when there is none: as LinuxKit calls them
_TIMEOUT_S = 30


def read(words: Sequence[str], settings: Settings) -> list[Source]:
    """The documents that `words` name, in their order.

    Raises:
        SampanError: one cannot be read or fetched, or is too long.
    """
    if list(words).count("-") > 1:
        raise UsageError("standard input can be read once only", hint="name - once")
    return [_read_one(word, settings) for word in words]


def name_of(word: str) -> str:
    """What outputs made from document `word` are called: its file name without extension."""
    if word == "-":
        return STDIN_NAME
    path = urllib.parse.urlsplit(word).path if _is_address(word) else word
    return Path(path).stem or DEFAULT_NAME


def _is_address(word: str) -> bool:
    return word.startswith(("http://", "https://"))


def _read_one(word: str, settings: Settings) -> Source:
    if word == "-":
        return Source.text(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>", folder=Path.cwd())
    if _is_address(word):
        return Source.text(_fetch(word, settings), word)
    return Source.file(Path(word))


def _fetch(address: str, settings: Settings) -> bytes:
    # slow to import, and few documents are fetched
    import http.client
    import ssl
    import urllib.request

    context = ssl.create_default_context()
    for certificate in settings.certificates:
        context.load_verify_locations(certificate)
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S, context=context) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(why, ssl.SSLCertVerificationError):
            raise SampanError(
                f"{address}: its certificate is not trusted: {why.verify_message}",
                hint="if it is right, name its authority: --cert-file FILE",
            ) from error
        said = why.strerror.lower() if isinstance(why, OSError) and why.strerror else why
        raise SampanError(
            f"{address} cannot be fetched: {said}", hint="is the address right?"
        ) from error
    return data

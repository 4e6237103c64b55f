"""What a connection speaks, by the first bytes that its client sends."""

from __future__ import annotations

import re
from enum import StrEnum

from sampan.net.services.httphead import REQUEST_LINE

MAX_LINE = 8192
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
_TLS = b"\x16\x03"
_METHOD = re.compile(rb"[A-Z][A-Z_-]{0,31}")
_TARGET = re.compile(rb"[!-~\x80-\xff]*")
_VERSIONS = (b"HTTP/1.0\r", b"HTTP/1.1\r")


class Language(StrEnum):
    """What is spoken on a connection."""

    UNKNOWN = "unknown"  # too little was said
    HTTP1 = "http/1"
    HTTP2 = "http/2"
    TLS = "tls"
    OTHER = "other"


def detect(start: bytes) -> Language:
    """The language of a stream that begins with `start`; UNKNOWN: ask again with more of it.

    Never UNKNOWN for more than `MAX_LINE` bytes.
    """
    if not start:
        return Language.UNKNOWN
    if start[:2] == _TLS[: len(start)]:
        return Language.TLS if len(start) > 1 else Language.UNKNOWN
    if start[: len(_PREFACE)] == _PREFACE[: len(start)]:
        return Language.HTTP2 if len(start) >= len(_PREFACE) else Language.UNKNOWN
    line, end, _ = start.lstrip(b"\r\n").partition(b"\r\n")
    if len(line) > MAX_LINE:
        return Language.OTHER
    if end:
        sound = REQUEST_LINE.fullmatch(line) and _METHOD.fullmatch(line.partition(b" ")[0])
        return Language.HTTP1 if sound else Language.OTHER
    return Language.UNKNOWN if len(start) <= MAX_LINE and _may_become(line) else Language.OTHER


def _may_become(line: bytes) -> bool:
    """Whether the beginning of a line can be that of a request."""
    if not line:
        return True
    words = line.split(b" ")
    if len(words) > 3 or not _METHOD.fullmatch(words[0]):
        return False
    if len(words) > 1 and not _TARGET.fullmatch(words[1]):
        return False
    if len(words) < 3:
        return True
    return bool(words[1]) and any(each.startswith(words[2]) for each in _VERSIONS)

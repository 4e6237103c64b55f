"""What goes wrong with registries, said so that people know what to do.

Errors and the wording of them; nothing here talks to anybody. What a registry says is
shown cut short and without control characters: it is text from strangers.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec

from sampan.errors import SampanError

LONGEST_WAIT_S = 60.0  # a registry that asks for more is not waited for
_SHOWN = 200
_BUSY = frozenset({408, 500, 502, 503, 504})
# OpenSSL's X509_V_ERR_*: the chain does not end at a certificate that is trusted
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


class RegistryError(SampanError):
    """A registry did not do what was asked. `transient`: it may, if it is asked again."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        transient: bool = False,
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient
        self.wait_s = wait_s


class UnreachableError(RegistryError):
    """Nobody answers."""

    def __init__(self, host: str, why: str, *, transient: bool = True) -> None:
        super().__init__(
            f"cannot reach registry {host}: {why}",
            hint="check its name and your network; a proxy is named by HTTPS_PROXY",
            transient=transient,
        )


class TlsError(RegistryError):
    """There is no encrypted connection that can be trusted."""


class BrokenTransferError(RegistryError):
    """The connection ended in the middle of an answer."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(
            f"the connection to {host} broke: {why}",
            hint="try again; what has arrived is kept",
            transient=True,
        )


class AccessError(RegistryError):
    """A login is missing, wrong, or not enough (401, 403)."""


class NotFoundError(RegistryError):
    """The registry has no such repository, tag or blob (404)."""


class RateLimitError(RegistryError):
    """The registry has had enough of us for now (429)."""


class OversizeError(RegistryError):
    """The registry sends more than it may."""


class _Complaint(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Complaints(msgspec.Struct, frozen=True):
    errors: tuple[_Complaint, ...] = ()


def tls(host: str, error: ssl.SSLError) -> TlsError:
    """The error for a TLS handshake with `host` that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        ours = error.verify_code in _UNKNOWN_ISSUER
        return TlsError(
            f"the certificate of {host} is not trusted: {error.verify_message}",
            hint="if the registry is yours, name its CA: --cert-file CA.pem" if ours else None,
        )
    reason = getattr(error, "reason", None) or error  # OpenSSL sets it, others do not
    return TlsError(
        f"no encrypted connection to {host}: {reason}",
        hint=f"if the registry has no encryption and you accept that: --mirror {host}=http://{host}",
    )


def status(
    what: str, host: str, code: int, headers: Mapping[str, str], body: bytes
) -> RegistryError:
    """The error for an answer with a status that does not fit; `what` was asked for."""
    said = _said(body)
    if code == HTTPStatus.NOT_FOUND:
        return NotFoundError(f"{host} has no {what}{said}", hint="check the name and the tag")
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return access(what, host, code, body)
    if code == HTTPStatus.TOO_MANY_REQUESTS:
        return _rate_limit(host, retry_after_s(headers))
    name = HTTPStatus(code).phrase if code in HTTPStatus.__members__.values() else ""
    wait_s = retry_after_s(headers)
    return RegistryError(
        f"{host} answered {code} {name}".rstrip() + f" about {what}{said}",
        transient=code in _BUSY and wait_s <= LONGEST_WAIT_S,
        wait_s=wait_s,
        hint="the registry is in trouble: try again later" if code in _BUSY else None,
    )


def access(
    what: str, host: str, code: int, body: bytes, *, user: str = "", problem: str = ""
) -> AccessError:
    """The error for 401 and 403: tells apart who has no login, and whose is not enough."""
    said = _said(body)
    if user:
        message = f"{host} does not let {printable(user)} have {what} ({code}){said}"
        hint = f"check the name, or log in as somebody else: docker login {host}"
    else:
        message = f"{host} wants a login for {what} ({code}){said}"
        hint = (
            f"check the name, or log in: docker login {host}, or without Docker "
            f"skopeo login --authfile ~/.docker/config.json {host}"
        )
    if problem:
        hint = f"{problem}; {hint}"
    return AccessError(message, hint=hint)


def retry_after_s(headers: Mapping[str, str], *, now_s: float | None = None) -> float:
    """How many seconds the header Retry-After asks to wait; 0 if it does not.

    A date counts from `now_s`, seconds since 1970, or else from the answer's own Date.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text).timestamp()
        now = parsedate_to_datetime(headers.get("Date", "")).timestamp() if now_s is None else now_s
    except (ValueError, OverflowError):  # no date
        return 0.0
    return max(0.0, until - now)


def printable(text: str) -> str:
    """`text` on one line, cut short, without what could command a terminal."""
    clean = "".join(char if char.isprintable() else " " for char in text[: 4 * _SHOWN])
    words = " ".join(clean.split())
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"


def _rate_limit(host: str, wait_s: float) -> RateLimitError:
    later = f"come back in {wait_s:.0f} s" if wait_s else "come back later"
    return RateLimitError(
        f"{host} limits how much may be fetched, and the limit is reached (429)",
        hint=f"{later}, log in for a higher limit (docker login {host}), or name a --mirror",
        transient=wait_s <= LONGEST_WAIT_S,
        wait_s=wait_s,
    )


def _said(body: bytes) -> str:
    """The registry's own explanation (distribution specification, "Error codes"), if any."""
    try:
        complaints = msgspec.json.decode(body, type=_Complaints).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    texts = [printable(complaint.message or complaint.code) for complaint in complaints[:3]]
    return f": {'; '.join(filter(None, texts))}" if any(texts) else ""

"""Who we are, to one registry: challenges, Basic logins, bearer tokens.

Pure but for `fetch`, through which tokens are asked for. (Distribution project, "Token
Authentication Specification"; RFC 9110 section 11 for challenges; RFC 6750.)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from urllib.parse import urlencode, urlsplit

import msgspec

from sampan.base.clock import Clock
from sampan.oci.registry import fault
from sampan.oci.registry.credential import Credential, Keychain
from sampan.oci.registry.fault import RegistryError
from sampan.oci.registry.transport import Answer, Body, Request, split_url

TOKEN_LIMIT = 1 << 20  # bytes of the answer of a token server
_CLIENT = "sampan"
_LIFETIME_S = 60  # of a token that does not say; the specification's default
_MARGIN_S = 10  # a token is not used that close to its end
_HEADER_LIMIT = 16 << 10
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|\s*$|\s*(?=,))")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True):
    """One way to log in that a server offers; `scheme` is in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


class _Token(msgspec.Struct, frozen=True):
    value: str
    ends_s: float


class _Issued(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges in the values of WWW-Authenticate; what is not understood is left out."""
    found: list[Challenge] = []
    for header in headers:
        rest = header[:_HEADER_LIMIT]
        while match := _SCHEME.match(rest):
            rest = rest[match.end() :]
            parameters: dict[str, str] = {}
            while pair := _PARAMETER.match(rest):
                name, quoted, plain = pair.groups()
                value = _ESCAPE.sub(r"\1", quoted) if quoted is not None else plain
                parameters.setdefault(name.lower(), value)
                rest = rest[pair.end() :]
            found.append(
                Challenge(
                    match[1].lower(),
                    parameters.get("realm", ""),
                    parameters.get("service", ""),
                    parameters.get("scope", ""),
                )
            )
            rest = rest.lstrip(", \t")
    return tuple(found)


class Authorizer:
    """Gives the Authorization header for requests to one registry. May be used by threads."""

    def __init__(
        self,
        registry: str,
        keychain: Keychain,
        fetch: Callable[[Request, int], Answer],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._keychain = keychain
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}

    @property
    def user(self) -> str:
        """As whom we log in, empty for nobody; for error messages."""
        credential = self._keychain.find(self._registry)
        return (credential.user or "a token") if credential else ""

    @property
    def problem(self) -> str:
        """Why a credential could not be looked up, empty if nothing is wrong."""
        return self._keychain.problem

    def header(self, scopes: tuple[str, ...]) -> str:
        """The header for a request that needs `scopes`; empty while nobody asked for a login.

        Raises:
            RegistryError: the token server does not give a token.
        """
        with self._lock:
            return self._header(scopes)

    def challenged(
        self, answer: Answer, scopes: tuple[str, ...], sent: str, *, encrypted: bool
    ) -> str:
        """The header to try after 401 `answer` to a request with header `sent`.

        Empty if there is nothing better to try. `encrypted` says how the challenge came: an
        encrypted one may not send credentials to a plain token server.

        Raises:
            RegistryError: the token server does not give a token.
        """
        with self._lock:
            current = self._header(scopes)
            if current and current != sent:  # another thread has dealt with it
                return current
            challenge = _best(parse_challenges(answer.challenges))
            if challenge is None:
                return ""
            if challenge.scheme == "bearer":
                realm = split_url(challenge.realm, self._registry)
                if encrypted and realm.scheme != "https":
                    raise RegistryError(
                        f"{self._registry} names a token server without encryption: {realm.netloc}",
                        hint="that one is not given any credentials",
                    )
            self._challenge = challenge
            self._tokens.pop(scopes, None)
            renewed = self._header(scopes)
            return renewed if renewed != sent else ""

    def _header(self, scopes: tuple[str, ...]) -> str:
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            credential = self._keychain.find(self._registry)
            return credential.basic if credential else ""
        token = self._tokens.get(scopes)
        if token is None or self._clock.monotonic_s() >= token.ends_s:
            token = self._tokens[scopes] = self._new_token(challenge, scopes)
        return f"Bearer {token.value}"

    def _new_token(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        asked_s = self._clock.monotonic_s()
        credential = self._keychain.find(self._registry)
        answer = self._fetch(_token_request(challenge, scopes, credential), TOKEN_LIMIT)
        host = urlsplit(challenge.realm).netloc
        if answer.status in (400, 401, 403):
            raise fault.access(
                _subject(scopes) or self._registry,
                self._registry,
                answer.status,
                answer.body,
                user=self.user,
                problem=self.problem,
            )
        if answer.status == 404:
            raise RegistryError(
                f"{self._registry} sends logins to {challenge.realm}, and nothing is there (404)",
                hint="the registry is set up wrongly: tell who runs it",
            )
        if answer.status != 200:
            raise fault.status("a token", host, answer.status, answer.headers, answer.body)
        try:
            issued = msgspec.json.decode(answer.body, type=_Issued)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RegistryError(f"the token server {host} answered with nonsense") from error
        value = issued.token or issued.access_token
        if not value or not value.isascii() or not value.isprintable():
            raise RegistryError(f"the token server {host} answered without a token")
        lifetime_s = max(issued.expires_in or _LIFETIME_S, _LIFETIME_S)
        return _Token(value, asked_s + lifetime_s - _MARGIN_S)


def _subject(scopes: tuple[str, ...]) -> str:
    """The repository a scope is for: `repository:NAME:pull`."""
    return scopes[0].partition(":")[2].rpartition(":")[0] if scopes else ""


def _best(challenges: tuple[Challenge, ...]) -> Challenge | None:
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (scheme == "basic" or challenge.realm):
                return challenge
    return None


def _token_request(
    challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
) -> Request:
    subjects = {scope.rpartition(":")[0] for scope in scopes}
    if challenge.scope and challenge.scope.rpartition(":")[0] not in subjects:
        scopes = (*scopes, challenge.scope)
    service = [("service", challenge.service)] if challenge.service else []
    if credential is not None and credential.identity_token:
        fields = [
            ("grant_type", "refresh_token"),
            ("client_id", _CLIENT),
            ("refresh_token", credential.identity_token),
            *service,
            ("scope", " ".join(scopes)),
        ]
        return Request(
            "POST",
            challenge.realm,
            (("Content-Type", "application/x-www-form-urlencoded"),),
            body=Body.of(urlencode(fields).encode()),
        )
    query = urlencode([*service, *(("scope", scope) for scope in scopes)])
    joint = "&" if urlsplit(challenge.realm).query else "?"
    url = challenge.realm + (joint + query if query else "")
    return Request("GET", url, authorization=credential.basic if credential else "")

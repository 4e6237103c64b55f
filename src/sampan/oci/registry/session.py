"""A conversation with one server: its scheme found out, logins answered, failures borne.

Joins transport, login and patience; knows the frame of the distribution API (`/v2/`, scopes)
but not what is asked for in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import msgspec

from sampan.base.clock import Clock, SystemClock
from sampan.oci.model import DOCUMENT_LIMIT
from sampan.oci.registry import fault
from sampan.oci.registry.auth import Authorizer
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import BrokenTransferError, RegistryError, TlsError
from sampan.oci.registry.patience import Sleep, patiently
from sampan.oci.registry.transport import (
    Answer,
    Body,
    Request,
    Stream,
    Transport,
    joined,
    split_url,
)
from sampan.oci.remote import Endpoint

_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the API. `what` is shown in errors; `path` may be a whole address.

    `expected`: statuses besides 2xx that are an answer and no failure.
    """

    what: str
    path: str
    method: str = "GET"
    scopes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    expected: frozenset[int] = frozenset()


class Session:
    """Calls to the server at `endpoint`. May be used by several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        keychain: Keychain,
        *,
        clock: Clock | None = None,
        sleep: Sleep | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.sleep = sleep or transport.wait
        self._transport = transport
        self._auth = Authorizer(
            endpoint.registry, keychain, transport.fetch, clock or SystemClock()
        )
        self._lock = threading.Lock()
        self._scheme = endpoint.scheme

    @property
    def name(self) -> str:
        """What people call the server."""
        return self.endpoint.registry

    def ask(self, call: Call, *, limit: int = DOCUMENT_LIMIT) -> Answer:
        """The answer to `call`, asked again while failures may pass; for calls that can be repeated.

        Raises:
            RegistryError: it failed, or the answer has a status that is not expected.
        """
        return patiently(lambda: self.ask_once(call, limit=limit), self.sleep)

    def ask_once(self, call: Call, *, limit: int = DOCUMENT_LIMIT) -> Answer:
        """The answer to `call`, asked once (twice when a login is wanted).

        Raises:
            RegistryError: it failed, or the answer has a status that is not expected.
        """
        with self.stream(call) as stream:
            return stream.answer(limit)

    @contextmanager
    def stream(self, call: Call) -> Iterator[Stream]:
        """The answer to `call`, to be read while the block runs; asked once.

        Raises:
            RegistryError: it failed, or the answer has a status that is not expected.
        """
        request = self._request(call)
        with self._transport.stream(request) as stream:
            if stream.status != HTTPStatus.UNAUTHORIZED:
                yield self._checked(call, stream)
                return
            refusal = stream.answer()
        encrypted = urlsplit(request.url).scheme == "https"
        authorization = self._auth.challenged(
            refusal, call.scopes, request.authorization, encrypted=encrypted
        )
        if not authorization:
            raise self._failure(call, refusal)
        request = msgspec.structs.replace(request, authorization=authorization)
        with self._transport.stream(request) as stream:
            yield self._checked(call, stream)

    def url(self, path: str) -> str:
        """The address of `path` (`/v2/…`) on the server; whole addresses stay as they are."""
        return urljoin(f"{self._found_scheme()}://{self.endpoint.host}", path)

    def resolved(self, base: str, location: str) -> str:
        """The address `location`, which the server named in its answer from `base`.

        Raises:
            RegistryError: it is no address.
        """
        return split_url(joined(base, location), self.name).geturl()

    def _request(self, call: Call) -> Request:
        url = self.url(call.path)
        target = split_url(url, self.name)
        home = (self._found_scheme(), self.endpoint.host)
        ours = (target.scheme, target.netloc) == home
        if home[0] == "https" and target.scheme != "https":
            raise RegistryError(f"{self.name} wants {call.what} sent without encryption")
        authorization = self._auth.header(call.scopes) if ours else ""
        return Request(call.method, url, call.headers, authorization, call.body)

    def _checked(self, call: Call, stream: Stream) -> Stream:
        if 200 <= stream.status < 300 or stream.status in call.expected:
            return stream
        raise self._failure(call, stream.answer())

    def _failure(self, call: Call, answer: Answer) -> RegistryError:
        if answer.status in _DENIED:
            return fault.access(
                call.what,
                self.name,
                answer.status,
                answer.body,
                user=self._auth.user,
                problem=self._auth.problem,
            )
        return fault.status(call.what, self.name, answer.status, answer.headers, answer.body)

    def _found_scheme(self) -> str:
        with self._lock:
            if not self._scheme:
                self._scheme = patiently(self._probe, self.sleep)
            return self._scheme

    def _probe(self) -> str:
        """Which scheme a loopback server speaks: one that wants TLS has no answer, or 400."""
        request = Request("GET", f"http://{self.endpoint.host}/v2/")
        try:
            answer = self._transport.fetch(request)
        except (BrokenTransferError, TlsError):
            return "https"
        return "https" if answer.status == HTTPStatus.BAD_REQUEST else "http"

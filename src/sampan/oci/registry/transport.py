"""HTTP as registries need it: pooled, streamed, bounded, through proxies, with our CAs.

Three rules hold for everything that is sent:

1. Plain HTTP goes only to loopback and to hosts it was asked for (`Remote.allows_plain`), and
   an encrypted exchange is never led to a plain one.
2. `Authorization` goes only to the server it was meant for, never along a redirect elsewhere.
3. An exchange is one attempt: who wants another one uses `patience`.

Knows urllib3 and no registries. Wants `close` at the end.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import msgspec

from sampan.errors import SampanError, UsageError
from sampan.oci.registry import fault
from sampan.oci.registry.fault import (
    BrokenTransferError,
    OversizeError,
    RegistryError,
    UnreachableError,
)
from sampan.oci.remote import Remote

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CHUNK = 1 << 18
_CONNECT_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 60.0
_MAX_REDIRECTS = 5
_AGENT = "sampan"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEXT_LIMIT = 64 << 10  # bytes of an answer that only says what is wrong


def split_url(url: str, source: str) -> SplitResult:
    """The parts of an address that `source`, a host, has given us.

    Raises:
        RegistryError: it is no address of a web server.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.username is None:
            return parts
    except ValueError:  # brackets that are no IPv6 address
        pass
    raise RegistryError(f"{source} names {fault.printable(url)!r}, which is no address of a server")


def joined(base: str, location: str) -> str:
    """`location` as seen from the page `base`; nonsense stays what it is, for `split_url`."""
    try:
        return urljoin(base, location)
    except ValueError:
        return location


class Body(msgspec.Struct, frozen=True):
    """What is sent: `length` bytes; `chunks` gives them anew at each call."""

    length: int
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The body `data`."""
        return cls(len(data), lambda: [data])


class Request(msgspec.Struct, frozen=True):
    """One HTTP request. `authorization` is for the host of `url` only."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    authorization: str = ""
    body: Body | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. Header names are found in any case; `url` is who gave it at last."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    challenges: tuple[str, ...] = ()


class Stream:
    """An answer whose body is read piece by piece."""

    def __init__(self, response: BaseHTTPResponse, url: str) -> None:
        self._response = response
        self._url = url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body.

        Raises:
            RegistryError: the connection broke; what came before has been given out.
        """
        with _explained(urlsplit(self._url).netloc):
            yield from self._response.stream(_CHUNK, decode_content=False)

    def answer(self, limit: int = _TEXT_LIMIT) -> Answer:
        """The whole answer, if its body has at most `limit` bytes.

        Raises:
            OversizeError: it has more.
            RegistryError: the connection broke.
        """
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                host = urlsplit(self._url).netloc
                raise OversizeError(f"{host} sends more than the {limit} bytes it may")
            parts.append(chunk)
        challenges = tuple(self._response.headers.getlist("WWW-Authenticate"))
        return Answer(self.status, self.headers, b"".join(parts), self._url, challenges)


class Transport:
    """Connections to all servers of one pull or push. May be used by several threads."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._lock = threading.Lock()
        self._pools: dict[str, PoolManager] = {}
        self._streams: set[BaseHTTPResponse] = set()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fetch(self, request: Request, limit: int = _TEXT_LIMIT) -> Answer:
        """Send `request` and return the answer; more than `limit` bytes are refused.

        Raises:
            RegistryError: there is no whole answer. Its status is the caller's business.
        """
        with self.stream(request) as stream:
            return stream.answer(limit)

    @contextmanager
    def stream(self, request: Request) -> Iterator[Stream]:
        """Send `request`; the answer can be read while the block runs.

        Raises:
            RegistryError: there is no answer.
        """
        response, url = self._follow(request)
        with self._lock:
            self._streams.add(response)
        try:
            yield Stream(response, url)
        finally:
            with self._lock:
                self._streams.discard(response)
            response.close()  # a connection whose answer was read to its end is back in its pool

    def stop(self) -> None:
        """Let all exchanges that are under way fail, and all that follow."""
        self._stopped.set()
        with self._lock:
            for response in self._streams:
                with suppress(OSError, RuntimeError, ValueError):  # it ended by itself just now
                    response.shutdown()

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until `stop`."""
        self._stopped.wait(seconds)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _follow(self, request: Request) -> tuple[BaseHTTPResponse, str]:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(request)
            location = response.headers.get("Location")
            followed = request.method in {"GET", "HEAD"} and response.status in _REDIRECTS
            if not followed or location is None:
                return response, request.url
            response.close()
            request = _redirected(request, location)
        raise RegistryError(f"{urlsplit(request.url).netloc} redirects in circles")

    def _send(self, request: Request) -> BaseHTTPResponse:
        target = urlsplit(request.url)
        if self._stopped.is_set():
            raise RegistryError("the transfer was stopped")
        if target.scheme != "https" and not self._remote.allows_plain(target.netloc):
            raise RegistryError(
                f"{target.netloc} would be spoken to without encryption",
                hint=f"if you accept that: --mirror {target.netloc}=http://{target.netloc}",
            )
        headers = {"User-Agent": _AGENT, **dict(request.headers)}
        if request.authorization:
            headers["Authorization"] = request.authorization
        if request.body is not None:
            headers["Content-Length"] = str(request.body.length)
        pool = self._pool(target.scheme, target.hostname or "")
        with _explained(target.netloc):
            return pool.urlopen(
                request.method,
                request.url,
                headers=headers,
                body=request.body.chunks() if request.body is not None else None,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )

    def _pool(self, scheme: str, host: str) -> PoolManager:
        proxy = self._remote.proxy.url(scheme, host)
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = _new_pool(self._remote, proxy)
            return self._pools[proxy]


def _new_pool(remote: Remote, proxy: str) -> PoolManager:
    try:
        import urllib3
    except ImportError:
        raise SampanError(
            "registries cannot be reached by this installation", hint="pip install 'sampan[build]'"
        ) from None
    timeout = urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S)
    context = _context(remote)
    size = remote.parallel + 1
    if not proxy:
        return urllib3.PoolManager(maxsize=size, timeout=timeout, ssl_context=context)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    try:
        return urllib3.ProxyManager(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            proxy_headers=urllib3.make_headers(proxy_basic_auth=login),
            maxsize=size,
            timeout=timeout,
            ssl_context=context,
        )
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise UsageError(
            f"the address of the proxy {parts.hostname} makes no sense",
            hint="write it as http://HOST:PORT",
        ) from error


def _context(remote: Remote) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in remote.certificates:
        try:
            context.load_verify_locations(path)
        except FileNotFoundError:
            raise UsageError(f"there is no certificate file {path}") from None
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{path} is no file of CA certificates",
                hint="it has to have the form PEM: -----BEGIN CERTIFICATE-----",
            ) from error
    return context


def _redirected(request: Request, location: str) -> Request:
    before = urlsplit(request.url)
    url = joined(request.url, location)
    after = split_url(url, before.netloc)
    if before.scheme == "https" and after.scheme != "https":
        raise RegistryError(
            f"{before.netloc} redirects to {fault.printable(after.netloc)} without encryption",
            hint="that is not followed",
        )
    same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    return msgspec.structs.replace(
        request, url=url, authorization=request.authorization if same else ""
    )


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """Turns what urllib3 raises into errors that say what to do."""
    from urllib3 import exceptions

    try:
        yield
    except exceptions.SSLError as error:
        cause = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
        raise fault.tls(host, cause or ssl.SSLError(str(error))) from error
    except exceptions.NameResolutionError as error:
        raise UnreachableError(
            host, "no host of that name is known", transient=not _is_final(error)
        ) from error
    except exceptions.ProxyError as error:
        raise UnreachableError(host, f"the proxy refuses ({_reason(error)})") from error
    except exceptions.NewConnectionError as error:
        raise UnreachableError(host, _reason(error), transient=not _is_final(error)) from error
    except exceptions.ConnectTimeoutError as error:
        raise UnreachableError(host, f"no answer within {_CONNECT_TIMEOUT_S:.0f} s") from error
    except exceptions.ReadTimeoutError as error:
        raise BrokenTransferError(host, f"nothing came for {_READ_TIMEOUT_S:.0f} s") from error
    except exceptions.ProtocolError as error:
        raise BrokenTransferError(host, _reason(error)) from error
    except (exceptions.HTTPError, UnicodeError) as error:
        raise RegistryError(f"{host} cannot be talked to: {fault.printable(str(error))}") from error


def _is_final(error: BaseException) -> bool:
    """Whether there is nobody, rather than nobody just now: then people should not wait."""
    return any(
        isinstance(cause, ConnectionRefusedError)
        or (isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME)
        for cause in _causes(error)
    )


def _reason(error: BaseException) -> str:
    """What the system said, or else that the other side hung up."""
    said = [cause.strerror for cause in _causes(error) if isinstance(cause, OSError)]
    return next((text for text in said if text), "it ended before everything was there")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what is behind it; urllib3 keeps that in several places."""
    pending: list[BaseException] = [error]
    seen: list[BaseException] = []
    while pending:
        current = pending.pop(0)
        if any(current is each for each in seen):
            continue
        seen.append(current)
        yield current
        links = (
            *current.args,
            getattr(current, "original_error", None),
            current.__cause__,
            current.__context__,
        )
        pending += [link for link in links if isinstance(link, BaseException)]

"""HTTP exchanges as an HTTP Archive (HAR 1.2), which browsers' developer tools read.

A file is `opening()`, entries with `SEPARATOR` between them, and `CLOSING`; who writes the
closing after each entry, and the next entry over it, has a file that is whole at any time.

What lets somebody in (`Authorization`, cookies) is hidden unless asked for: archives get mailed
around. Cookies are not taken apart: the lists of them are empty, the headers have them. Bodies
are not there, only their sizes.
"""

from __future__ import annotations

import urllib.parse
from datetime import UTC, datetime

import msgspec

from sampan.net.services.httphead import Fields, hide_secrets
from sampan.net.services.httpview import Exchange

SEPARATOR = b",\n"
CLOSING = b"\n]}}\n"
MAX_PARAMETERS = 200
_NOT_KNOWN = -1


class _Pair(msgspec.Struct, frozen=True):
    name: str
    value: str


class _Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    method: str
    url: str
    http_version: str
    cookies: tuple[_Pair, ...] = ()
    headers: tuple[_Pair, ...]
    query_string: tuple[_Pair, ...]
    headers_size: int
    body_size: int


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    size: int
    mime_type: str


class _Response(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    status: int
    status_text: str
    http_version: str
    cookies: tuple[_Pair, ...] = ()
    headers: tuple[_Pair, ...]
    content: _Content
    redirect_url: str = msgspec.field(name="redirectURL")
    headers_size: int
    body_size: int


class _Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; `connect` is -1 where none was made for this request."""

    connect: float
    send: float
    wait: float
    receive: float


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    started_date_time: str
    time: float
    request: _Request
    response: _Response
    cache: dict[str, str]
    timings: _Timings
    server_address: str = msgspec.field(name="serverIPAddress")
    connection: str
    comment: str


def opening(version: str, comment: str = "") -> bytes:
    """What a file begins with. `version` is that of Sampan."""
    creator = msgspec.json.encode({"name": "sampan", "version": version})
    note = msgspec.json.encode(comment)
    return b'{"log":{"version":"1.2","creator":%s,"comment":%s,"entries":[\n' % (creator, note)


def entry(
    exchange: Exchange, *, epoch_s: float, server: str, connection: str, secrets: bool = False
) -> bytes:
    """One exchange.

    Args:
        exchange: what was seen.
        epoch_s: seconds from 1970 to the zero of the clock that the exchange was timed by.
        server: the address of the server, as text.
        connection: what tells connections apart.
        secrets: whether to leave credentials in.
    """
    began = exchange.started - (exchange.connect_s or 0.0)
    written = _Entry(
        started_date_time=_date(began + epoch_s),
        time=_milliseconds(exchange.duration_s),
        request=_Request(
            method=exchange.method,
            url=exchange.url,
            http_version=exchange.version,
            headers=_headers(exchange.request_fields, secrets),
            query_string=_query(exchange.url),
            headers_size=exchange.request_head_bytes,
            body_size=exchange.request_body_bytes,
        ),
        response=_response(exchange, secrets),
        cache={},
        timings=_Timings(
            connect=_NOT_KNOWN if exchange.connect_s is None else _milliseconds(exchange.connect_s),
            send=_milliseconds(exchange.send_s or 0.0),
            wait=_milliseconds(exchange.wait_s or 0.0),
            receive=_milliseconds(exchange.receive_s or 0.0),
        ),
        server_address=server,
        connection=connection,
        comment=f"cut: {exchange.cut}" if exchange.cut else "",
    )
    return msgspec.json.encode(written)


def _response(exchange: Exchange, secrets: bool) -> _Response:
    locations = [value for name, value in exchange.response_fields if name.lower() == "location"]
    return _Response(
        status=exchange.status,
        status_text=exchange.reason,
        http_version=exchange.response_version,
        headers=_headers(exchange.response_fields, secrets),
        content=_Content(exchange.response_body_bytes, exchange.content_type or "x-unknown"),
        redirect_url=locations[0] if locations else "",
        headers_size=exchange.response_head_bytes if exchange.status else _NOT_KNOWN,
        body_size=exchange.response_body_bytes if exchange.status else _NOT_KNOWN,
    )


def _headers(fields: Fields, secrets: bool) -> tuple[_Pair, ...]:
    return tuple(_Pair(*each) for each in (fields if secrets else hide_secrets(fields)))


def _query(url: str) -> tuple[_Pair, ...]:
    query = url.partition("#")[0].partition("?")[2]
    pairs = query.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]
    split = (each.partition("=") for each in pairs if each)
    return tuple(_Pair(_plain(name), _plain(value)) for name, _, value in split)


def _plain(text: str) -> str:
    return urllib.parse.unquote_plus(text, errors="replace")


def _date(wall_s: float) -> str:
    moment = datetime.fromtimestamp(wall_s, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)

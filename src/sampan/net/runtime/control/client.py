"""A program's end of the control API: blocking, typed, with nothing but the standard library.

For instance::

    network = Client(Path("/run/user/1000/sampan/net/default.sock"))
    network.expose(*forward.parse("8080:80"))

What the network refuses is raised as the error it was there. Each call has a connection of its
own, so a client holds nothing and several threads may use it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sampan.errors import SampanError
from sampan.net.runtime.control import fault, model
from sampan.net.runtime.service.dhcp import LeaseRecord
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.services.forward import Forward

TIMEOUT_S = 30.0
_READ = 64 << 10
_Answer = TypeVar("_Answer")


class NotServedError(SampanError):
    """No network answers at a socket."""


class Client:
    """The network whose control socket is at `path`; it need not be there yet.

    All methods raise NotServedError if no network answers, and what the network raises.
    """

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def info(self) -> model.NetworkRecord:
        """What the network is."""
        return self._ask("GET", "/v1/network", model.NetworkRecord)

    def forwards(self) -> tuple[Forward, ...]:
        """The forwards that listen."""
        return self._ask("GET", "/v1/forwards", tuple[Forward, ...])

    def expose(self, *forwards: Forward) -> tuple[Forward, ...]:
        """Forward ports, all or none; with the ports that 0 became. They listen when this returns."""
        return self._ask("POST", "/v1/forwards", tuple[Forward, ...], body=forwards)

    def unexpose(self, place: model.Place) -> Forward:
        """End the forward that listens there; what it was."""
        return self._ask("DELETE", "/v1/forwards", Forward, query=place)

    def flows(self) -> tuple[FlowRecord, ...]:
        """The connections there are."""
        return self._ask("GET", "/v1/flows", tuple[FlowRecord, ...])

    def leases(self) -> tuple[LeaseRecord, ...]:
        """The addresses that DHCP gave."""
        return self._ask("GET", "/v1/leases", tuple[LeaseRecord, ...])

    def links(self) -> tuple[model.LinkRecord, ...]:
        """The links that are plugged in."""
        return self._ask("GET", "/v1/links", tuple[model.LinkRecord, ...])

    def stats(self) -> model.Stats:
        """The counters."""
        return self._ask("GET", "/v1/stats", model.Stats)

    def names(self) -> tuple[model.NameRecord, ...]:
        """The names that were added to DNS."""
        return self._ask("GET", "/v1/names", tuple[model.NameRecord, ...])

    def add_name(self, name: model.NameRecord) -> None:
        """Let the network's DNS answer a name."""
        self._ask("POST", "/v1/names", model.NameRecord, body=name)

    def remove_name(self, name: str) -> None:
        """Let it answer it no more."""
        self._tell("DELETE", f"/v1/names/{_quoted(name)}")

    def reservations(self) -> tuple[model.Reservation, ...]:
        """The addresses that are kept for one machine alone."""
        return self._ask("GET", "/v1/reservations", tuple[model.Reservation, ...])

    def reserve(self, asked: model.Reservation) -> model.Reservation:
        """Keep an address for a machine that will come; which one."""
        return self._ask("POST", "/v1/reservations", model.Reservation, body=asked)

    def end_reservation(self, mac: str) -> None:
        """Keep it no longer."""
        self._tell("DELETE", f"/v1/reservations/{_quoted(mac)}")

    def add_link(self, listen: str) -> str:
        """Let machines connect at `KIND:PATH`, too; the place, as the network calls it."""
        asked = model.LinkAsked(listen=listen)
        return self._ask("POST", "/v1/links", model.LinkAsked, body=asked).listen

    def remove_link(self, listen: str) -> None:
        """End a place that was added."""
        self._tell("DELETE", _with_query("/v1/links", model.LinkAsked(listen=listen)))

    def captures(self) -> tuple[model.CaptureRecord, ...]:
        """The captures to files that run."""
        return self._ask("GET", "/v1/captures", tuple[model.CaptureRecord, ...])

    def start_capture(self, asked: model.CaptureAsked) -> model.CaptureRecord:
        """Let the network write its frames to a file."""
        return self._ask("POST", "/v1/captures", model.CaptureRecord, body=asked)

    def stop_capture(self, capture: str) -> None:
        """End a capture."""
        self._tell("DELETE", f"/v1/captures/{_quoted(capture)}")

    def policy(self) -> model.PolicyDocument:
        """What machines may reach."""
        return self._ask("GET", "/v1/policy", model.PolicyDocument)

    def replace_policy(self, document: object) -> model.PolicyDocument:
        """Let another policy hold: the document of a policy file, parsed."""
        return self._ask("PUT", "/v1/policy", model.PolicyDocument, body=document)

    def view_http(self) -> None:
        """Let the network follow HTTP in flows that begin from now on; see `events`."""
        self._tell("POST", "/v1/http")

    def shutdown(self) -> None:
        """End the network."""
        self._tell("POST", "/v1/shutdown")

    def events(self, asked: model.EventsAsked) -> Iterator[model.EventRecord]:
        """What happened, and with `follow` what happens; waits without limit for the next."""
        decoder = msgspec.json.Decoder(model.EventRecord)
        with self._stream("/v1/events", asked) as (response, _):
            while line := response.readline():
                yield decoder.decode(line)

    def capture(
        self, asked: model.CaptureStream, *, seconds: float | None = None
    ) -> Iterator[bytes]:
        """Frames as they pass, as pcapng, in pieces; until the network or the time ends."""
        end = None if seconds is None else time.monotonic() + seconds
        with self._stream("/v1/captures/stream", asked) as (response, connection):
            while end is None or (left := end - time.monotonic()) > 0:
                if end is not None:
                    connection.settimeout(left)
                try:
                    data = response.read1(_READ)
                except TimeoutError:
                    return
                if not data:
                    return
                yield data

    def openapi(self) -> dict[str, Any]:
        """The description of the API."""
        return self._ask("GET", "/openapi.json", dict[str, Any])

    def metrics(self) -> str:
        """The counters, as Prometheus reads them."""
        with self._exchange("GET", "/metrics", None) as response:
            return response.read().decode()

    @contextlib.contextmanager
    def _stream(
        self, path: str, query: msgspec.Struct
    ) -> Iterator[tuple[http.client.HTTPResponse, socket.socket]]:
        """A response that goes on, and the socket it comes from; a network that ends ends it."""
        connection = _UnixConnection(self.path, self._timeout_s)
        with self._exchange("GET", _with_query(path, query), None, connection) as response:
            assert connection.raw is not None
            connection.raw.settimeout(None)
            with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
                yield response, connection.raw

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[_Answer],
        *,
        body: object = None,
        query: msgspec.Struct | None = None,
    ) -> _Answer:
        with self._exchange(method, _with_query(path, query), body) as response:
            try:
                return msgspec.json.decode(response.read(), type=answer)
            except (msgspec.MsgspecError, http.client.HTTPException) as error:
                raise self._nonsense(error) from error

    def _tell(self, method: str, path: str) -> None:
        self._exchange(method, path, None).close()

    def _exchange(
        self, method: str, path: str, body: object, connection: _UnixConnection | None = None
    ) -> http.client.HTTPResponse:
        data = None if body is None else msgspec.json.encode(body)
        connection = connection or _UnixConnection(self.path, self._timeout_s)
        with contextlib.closing(connection):
            try:
                with contextlib.suppress(BrokenPipeError):  # it had its say before ours: read it
                    connection.request(method, path, data, {"Connection": "close"})
                response = connection.getresponse()  # it holds the socket from now on
            except (FileNotFoundError, ConnectionError, http.client.HTTPException) as error:
                raise self._not_served() from error
            except TimeoutError as error:
                raise NotServedError(f"the network at {self.path} does not answer") from error
            except PermissionError as error:
                raise NotServedError(
                    f"the network at {self.path} is another user's",
                    hint="ask it as that user, or as root",
                ) from error
        if not response.will_close:
            raise self._nonsense("it does not close its connections")
        if response.status >= HTTPStatus.BAD_REQUEST:
            with response:
                raise self._error(response)
        return response

    def _error(self, response: http.client.HTTPResponse) -> SampanError:
        try:
            failed = msgspec.json.decode(response.read(), type=model.Failed)
        except (msgspec.MsgspecError, http.client.HTTPException) as error:
            return self._nonsense(error)
        return fault.error_of(response.status, failed.error)

    def _not_served(self) -> NotServedError:
        return NotServedError(
            f"no network answers at {self.path}",
            hint="start one with sampan net serve, or name it: --name, --control",
        )

    def _nonsense(self, error: object) -> SampanError:
        return SampanError(
            f"what answers at {self.path} is no network of this version: {error}",
            hint="is it an older one? GET /v1/network says its version",
        )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; `raw`, which its response goes on to use when this is closed."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self.raw: socket.socket | None = None

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(str(self._path))
        except BaseException:
            connection.close()
            raise
        self.sock = self.raw = connection


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _with_query(path: str, query: msgspec.Struct | None) -> str:
    if query is None:
        return path
    given = {
        key: json.dumps(value) if isinstance(value, bool) else value
        for key, value in msgspec.to_builtins(query).items()
    }
    return f"{path}?{urllib.parse.urlencode(given)}"

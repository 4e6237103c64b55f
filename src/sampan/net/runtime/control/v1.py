"""The calls of the control API, under /v1/.

Each handler says a request in the network's own words; what the network raises becomes the
answer (`fault`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any

import msgspec

from sampan.errors import SampanError, UsageError
from sampan.net.link.filter import compile_filter
from sampan.net.runtime.control import metric, model
from sampan.net.runtime.control.message import METRICS, NDJSON, PCAPNG, Response, Stream
from sampan.net.runtime.control.network import Controlled
from sampan.net.runtime.control.route import Nothing, Route
from sampan.net.runtime.service.dhcp import LeaseRecord
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.services import forward as forward_
from sampan.net.services import policy as policy_
from sampan.net.services.forward import Forward

MAX_AT_ONCE = 1024  # forwards in one request
EVENTS_AT_ONCE = 256


def _info(network: Controlled, _: Nothing) -> model.NetworkRecord:
    return network.info()


def _forwards(network: Controlled, _: Nothing) -> tuple[Forward, ...]:
    return network.forwards()


def _expose(network: Controlled, asked: tuple[Forward, ...]) -> tuple[Forward, ...]:
    """All of them or none."""
    if not 1 <= len(asked) <= MAX_AT_ONCE:
        raise UsageError(f"a request has 1 to {MAX_AT_ONCE} forwards")
    for each in asked:
        _check(each)
    done: list[Forward] = []
    try:
        done.extend(network.expose(each) for each in asked)
    except BaseException:
        for each in done:
            with suppress(SampanError):
                network.unexpose(each)
        raise
    return tuple(done)


def _check(asked: Forward) -> None:
    """Types are right by now; what its fields say must be as if it had been written as text."""
    text = str(asked)
    if asked.path and not PurePosixPath(asked.path).is_absolute():
        raise UsageError(f"cannot forward {text!r}: the path of its socket is not absolute")
    if forward_.parse(text) != (asked,):
        raise UsageError(f"cannot forward {text!r}: it has fields that do not go together")


def _unexpose(network: Controlled, place: model.Place) -> Forward:
    return network.unexpose(
        Forward(
            bind=place.bind, port=place.port, path=place.path, protocol=place.protocol,
            guest_port=1,
        )
    )  # fmt: skip


def _flows(network: Controlled, _: Nothing) -> tuple[FlowRecord, ...]:
    return network.flows()


def _leases(network: Controlled, _: Nothing) -> tuple[LeaseRecord, ...]:
    return network.leases()


def _links(network: Controlled, _: Nothing) -> tuple[model.LinkRecord, ...]:
    return network.links()


def _add_link(network: Controlled, asked: model.LinkAsked) -> model.LinkAsked:
    return network.add_link(asked)


def _remove_link(network: Controlled, asked: model.LinkAsked) -> None:
    network.remove_link(asked)


def _stats(network: Controlled, _: Nothing) -> model.Stats:
    return network.stats()


def _metrics(network: Controlled, _: Nothing) -> Response:
    said = metric.text(
        network.info().name, network.stats(), network.links(), len(network.forwards())
    )
    return Response(body=said.encode(), content_type=METRICS)


def _names(network: Controlled, _: Nothing) -> tuple[model.NameRecord, ...]:
    return network.names()


def _add_name(network: Controlled, name: model.NameRecord) -> model.NameRecord:
    network.add_name(name)
    return name


def _remove_name(network: Controlled, asked: model.NameAsked) -> None:
    network.remove_name(asked.name)


def _reservations(network: Controlled, _: Nothing) -> tuple[model.Reservation, ...]:
    return network.reservations()


def _reserve(network: Controlled, asked: model.Reservation) -> model.Reservation:
    return network.reserve(asked)


def _end_reservation(network: Controlled, asked: model.ReservationAsked) -> None:
    network.end_reservation(asked.mac)


def _captures(network: Controlled, _: Nothing) -> tuple[model.CaptureRecord, ...]:
    return network.captures()


def _start_capture(network: Controlled, asked: model.CaptureAsked) -> model.CaptureRecord:
    if not PurePosixPath(asked.path).is_absolute():
        raise UsageError(f"the path of a capture is absolute, and {asked.path!r} is not")
    return network.start_capture(asked)


def _stop_capture(network: Controlled, asked: model.CaptureNamed) -> None:
    network.stop_capture(asked.id)


def _stream_capture(network: Controlled, asked: model.CaptureStream) -> Stream:
    compile_filter(asked.filter)  # what is wrong with it is said before the response begins
    return Stream(content_type=PCAPNG, begin=lambda wake: network.stream_capture(asked, wake))


def _policy(network: Controlled, _: Nothing) -> model.PolicyDocument:
    return document(network.policy())


def _replace_policy(network: Controlled, asked: msgspec.Raw) -> model.PolicyDocument:
    try:
        said = json.loads(bytes(asked))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the policy is no JSON: {error}") from None
    policy = policy_.parse(said)
    network.replace_policy(policy)
    return document(policy)


def document(policy: policy_.Policy) -> model.PolicyDocument:
    """A policy in the form of its file."""
    return model.PolicyDocument(
        default="allow" if policy.default_allow else "deny",
        rules=tuple(map(_rule, policy.rules)),
    )


def _rule(rule: policy_.Rule) -> model.RuleDocument:
    peers = (*rule.names, *rule.networks) or ("*",)
    return model.RuleDocument(
        allow=peers if rule.allow else (),
        deny=() if rule.allow else peers,
        port=tuple(str(low) if low == high else f"{low}-{high}" for low, high in rule.ports),
        protocol=rule.protocol,
        name=rule.name,
    )


class _Events:
    """Events as lines; pulled, so a slow client finds those that are still kept."""

    def __init__(
        self, network: Controlled, asked: model.EventsAsked, wake: Callable[[], None]
    ) -> None:
        self._network = network
        self._after = asked.after
        self._kind = asked.kind
        self._forget = network.follow(wake) if asked.follow else None
        self.ended = False

    def pull(self) -> bytes:
        """See `message.Source`."""
        while found := self._network.events(self._after, EVENTS_AT_ONCE):
            self._after = found[-1].number
            if wanted := [each for each in found if each.kind.startswith(self._kind)]:
                return b"".join(msgspec.json.encode(each) + b"\n" for each in wanted)
        self.ended = self._forget is None
        return b""

    def close(self) -> None:
        """See `message.Source`."""
        if self._forget is not None:
            self._forget()


def _events(network: Controlled, asked: model.EventsAsked) -> Stream:
    return Stream(content_type=NDJSON, begin=lambda wake: _Events(network, asked, wake))


def _view_http(network: Controlled, _: Nothing) -> None:
    network.view_http()


def _shutdown(network: Controlled, _: Nothing) -> None:
    network.stop()


def _row(method: str, path: str, summary: str, handler: Any, **more: Any) -> Route[Controlled]:  # noqa: ANN401
    return Route(method=method, path=path, summary=summary, handler=handler, **more)


ROUTES: tuple[Route[Controlled], ...] = (
    _row("GET", "/v1/network", "What the network is", _info, answer=model.NetworkRecord),
    _row("GET", "/v1/forwards", "Forwards that listen", _forwards, answer=tuple[Forward, ...]),
    _row(
        "POST", "/v1/forwards", "Forward ports, all or none; they listen when this returns",
        _expose, argument=tuple[Forward, ...], answer=tuple[Forward, ...],
        status=HTTPStatus.CREATED,
    ),
    _row(
        "DELETE", "/v1/forwards", "End the forward that listens there", _unexpose,
        argument=model.Place, answer=Forward,
    ),
    _row("GET", "/v1/flows", "Connections and UDP flows", _flows,
         answer=tuple[FlowRecord, ...]),
    _row("GET", "/v1/leases", "Addresses that DHCP gave", _leases,
         answer=tuple[LeaseRecord, ...]),
    _row("GET", "/v1/links", "Links that are plugged in", _links,
         answer=tuple[model.LinkRecord, ...]),
    _row(
        "POST", "/v1/links", "Let machines connect at one more place; they can when this returns",
        _add_link, argument=model.LinkAsked, answer=model.LinkAsked, status=HTTPStatus.CREATED,
    ),
    _row(
        "DELETE", "/v1/links", "End a place that was added", _remove_link,
        argument=model.LinkAsked, status=HTTPStatus.NO_CONTENT,
    ),
    _row("GET", "/v1/stats", "Counters", _stats, answer=model.Stats),
    _row("GET", "/metrics", "Counters for Prometheus", _metrics, media=METRICS),
    _row("GET", "/v1/names", "Names that were added to DNS", _names,
         answer=tuple[model.NameRecord, ...]),
    _row(
        "POST", "/v1/names", "Add a name, or replace it", _add_name, argument=model.NameRecord,
        answer=model.NameRecord, status=HTTPStatus.CREATED,
    ),
    _row(
        "DELETE", "/v1/names/{name}", "Remove a name", _remove_name, argument=model.NameAsked,
        status=HTTPStatus.NO_CONTENT,
    ),
    _row("GET", "/v1/reservations", "Addresses kept for one machine alone", _reservations,
         answer=tuple[model.Reservation, ...]),
    _row(
        "POST", "/v1/reservations", "Keep an address for a machine that will come", _reserve,
        argument=model.Reservation, answer=model.Reservation, status=HTTPStatus.CREATED,
    ),
    _row(
        "DELETE", "/v1/reservations/{mac}", "Keep it no longer", _end_reservation,
        argument=model.ReservationAsked, status=HTTPStatus.NO_CONTENT,
    ),
    _row("GET", "/v1/captures", "Captures to files that run", _captures,
         answer=tuple[model.CaptureRecord, ...]),
    _row(
        "POST", "/v1/captures", "Capture to a file", _start_capture,
        argument=model.CaptureAsked, answer=model.CaptureRecord, status=HTTPStatus.CREATED,
    ),
    _row(
        "GET", "/v1/captures/stream", "Capture to the response", _stream_capture,
        argument=model.CaptureStream, media=PCAPNG,
    ),
    _row(
        "DELETE", "/v1/captures/{id}", "End a capture", _stop_capture,
        argument=model.CaptureNamed, status=HTTPStatus.NO_CONTENT,
    ),
    _row("GET", "/v1/policy", "What machines may reach", _policy, answer=model.PolicyDocument),
    _row(
        "PUT", "/v1/policy", "Replace the policy; flows that run go on", _replace_policy,
        argument=msgspec.Raw, answer=model.PolicyDocument,
    ),
    _row(
        "GET", "/v1/events", "What happened, one object a line", _events,
        argument=model.EventsAsked, answer=model.EventRecord, media=NDJSON,
    ),
    _row(
        "POST", "/v1/http", "Follow HTTP in flows that begin from now on: see events", _view_http,
        status=HTTPStatus.NO_CONTENT,
    ),
    _row("POST", "/v1/shutdown", "End the network", _shutdown, status=HTTPStatus.ACCEPTED),
)  # fmt: skip

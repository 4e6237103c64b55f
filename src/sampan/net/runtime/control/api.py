"""The whole API of a network: its calls, gvproxy's, and their description."""

from __future__ import annotations

import msgspec

import sampan
from sampan.net.runtime.control import gvproxy, openapi, v1
from sampan.net.runtime.control.message import Response
from sampan.net.runtime.control.network import Controlled
from sampan.net.runtime.control.route import Nothing, Route, Table


def table(network: Controlled) -> Table[Controlled]:
    """What answers requests about `network`."""
    described: Route[Controlled] = Route(
        method="GET",
        path=openapi.PATH,
        summary="This description",
        handler=_describe,
    )
    return Table(network, (*v1.ROUTES, described, *gvproxy.ROUTES))


def document() -> bytes:
    """The OpenAPI document of the calls under /v1/, as JSON."""
    said = openapi.document(v1.ROUTES, sampan.__version__)
    return msgspec.json.format(msgspec.json.encode(said)) + b"\n"


def _describe(network: Controlled, _: Nothing) -> Response:
    del network
    return Response(body=document())

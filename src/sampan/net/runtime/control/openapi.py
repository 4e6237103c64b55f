"""The description of the API as an OpenAPI 3.1 document, made from the routes and their types."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from sampan.net.runtime.control import model
from sampan.net.runtime.control.message import JSON
from sampan.net.runtime.control.route import Nothing, Route

PATH = "/openapi.json"
_REFERENCES = "#/components/schemas/{name}"
_POLICY = model.PolicyDocument  # what the body of PUT /v1/policy is, decoded elsewhere


def document(routes: Iterable[Route[Any]], version: str) -> dict[str, Any]:
    """The document, as JSON's own types."""
    rows = tuple(routes)
    types = [model.Failed]
    for route in rows:
        types += [each for each in (_argument(route), route.answer) if each is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    by_type = dict(zip(map(str, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in rows:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, by_type, components
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sampan's network control API",
            "version": version,
            "description": "HTTP on a Unix socket, for the owner of the network alone.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _argument(route: Route[Any]) -> Any:  # noqa: ANN401  a type, or None
    if route.argument is Nothing:
        return None
    return _POLICY if route.argument is msgspec.Raw else route.argument


def _operation(
    route: Route[Any], by_type: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    argument = _argument(route)
    said: dict[str, Any] = {"summary": route.summary, "operationId": _name(route)}
    if argument is not None and route.has_body:
        said["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": by_type[str(argument)]}},
        }
    elif argument is not None:
        said["parameters"] = list(_parameters(route, components[argument.__name__]))
    answer: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        answer["content"] = {route.media: {"schema": by_type[str(route.answer)]}}
    elif route.media != JSON:
        answer["content"] = {route.media: {}}
    failed = {"schema": by_type[str(model.Failed)]}
    said["responses"] = {
        str(int(route.status)): answer,
        "default": {"description": "It failed", "content": {JSON: failed}},
    }
    return said


def _parameters(route: Route[Any], schema: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name, kind in schema["properties"].items():
        inline = f"{{{name}}}" in route.path
        yield {
            "name": name,
            "in": "path" if inline else "query",
            "required": inline or name in schema.get("required", ()),
            "schema": kind,
        }


def _name(route: Route[Any]) -> str:
    words = [word.strip("{}") for word in route.path.split("/") if word not in ("", "v1")]
    return "_".join([route.method.lower(), *words]).replace(".", "_")

import json
import re

import jsonschema
import msgspec
import pytest

from sampan.net.runtime.control import api, v1
from sampan.net.runtime.control.message import Request
from sampan.net.runtime.control.model import EventRecord
from sampan.net.runtime.control.route import Table
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.services.forward import Forward


@pytest.fixture(scope="module")
def document():
    return json.loads(api.document())


def _schema(document, schema):
    return {**schema, "components": document["components"]}


def test_every_schema_is_one(document):
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert document["openapi"].startswith("3.1.")


def test_every_reference_leads_somewhere(document):
    found = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert found <= set(document["components"]["schemas"])


def test_it_has_the_routes_and_nothing_else(document):
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in v1.ROUTES}


def test_operations_have_names_of_their_own(document):
    names = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    assert len(set(names)) == len(names)
    assert "get_flows" in names
    assert "delete_names_name" in names


def test_parameters_of_path_and_query(document):
    (one,) = document["paths"]["/v1/captures/{id}"]["delete"]["parameters"]
    assert (one["name"], one["in"], one["required"]) == ("id", "path", True)
    place = document["paths"]["/v1/forwards"]["delete"]["parameters"]
    assert {each["in"] for each in place} == {"query"}
    assert [each["name"] for each in place] == ["bind", "port", "path", "protocol"]


@pytest.mark.parametrize(
    "path", [route.path for route in v1.ROUTES if route.method == "GET" and route.answer]
)
def test_real_answers_are_as_described(document, ask, network, path):
    network.listening.append(Forward(guest_port=80, port=8080))
    network.table.append(_flow())
    network.happen("flow.opened", port=80)
    answer = ask("GET", path)
    body = answer.body if hasattr(answer, "body") else answer.begin(lambda: None).pull()
    (content,) = document["paths"][path]["get"]["responses"]["200"]["content"].values()
    schema = _schema(document, content["schema"])
    jsonschema.validate(json.loads(body), schema, jsonschema.Draft202012Validator)


def test_errors_are_as_described(document, ask):
    responses = document["paths"]["/v1/forwards"]["post"]["responses"]
    schema = _schema(document, responses["default"]["content"]["application/json"]["schema"])
    for body in (b"{", b'[{"port": 7777, "guest_port": 1}]'):
        said = json.loads(ask("POST", "/v1/forwards", body).body)
        jsonschema.validate(said, schema, jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"error": "x"}, schema, jsonschema.Draft202012Validator)


def test_bodies_that_are_described_are_taken(document):
    forwards = document["paths"]["/v1/forwards"]["post"]["requestBody"]["content"]
    schema = _schema(document, forwards["application/json"]["schema"])
    jsonschema.validate([{"guest_port": 80}], schema, jsonschema.Draft202012Validator)
    assert set(document["paths"]["/v1/policy"]["put"]["requestBody"]["content"]) == {
        "application/json"
    }


def test_it_is_served(ask, document):
    assert json.loads(ask("GET", "/openapi.json").body) == document


def test_gvproxys_calls_are_served_beside(network):
    table = api.table(network)
    assert isinstance(table, Table)
    assert table.answer(Request(method="GET", path="/services/forwarder/all")).body == b"[]\n"


def _flow():
    fields = {"id": 1, "kind": "tcp", "link": "qemu", "machine": "192.168.65.3",
              "peer": "192.0.2.1", "peer_port": 80, "opened_s": 0.5}  # fmt: skip
    return msgspec.convert(fields, FlowRecord)


def test_events_are_described_a_line_at_a_time(document):
    content = document["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]
    assert content["application/x-ndjson"]["schema"]["$ref"].endswith(EventRecord.__name__)

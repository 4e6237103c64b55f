import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from sampan.spec.schema import json_schema

HERE = Path(__file__).parent
PARITY = HERE.parent / "data" / "parity"


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


class Loader(yaml.SafeLoader):
    """Reads as editors do, which know YAML 1.2: `no` is a string there."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: known
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
        if first not in tuple("yYnNoO")
    }


def values(text):
    return yaml.load(text, Loader=Loader)


@pytest.mark.parametrize(
    "path",
    [PARITY / "gold.yml", PARITY / "legacy.yml", HERE / "good" / "full.yml"],
    ids=lambda p: p.stem,
)
def test_good_documents(validator, path):
    assert [error.message for error in validator.iter_errors(values(path.read_text()))] == []


@pytest.mark.parametrize("name", ["unknown-keys", "wrong-types", "values", "yaml-traps"])
def test_bad_documents(validator, name):
    text = (HERE / "bad" / f"{name}.yml").read_text()
    assert list(validator.iter_errors(values(text)))


@pytest.mark.parametrize(
    "text",
    [
        "kernal: {}",
        "services: [{name: a}]",
        "services: [{name: a, image: b, restart: maybe}]",
        "services: [{name: ../a, image: b}]",
        "services: [{name: a, image: b, oomScoreAdj: 1001}]",
        "services: [{name: a, image: b, binds: [/a]}]",
        "services: [{name: a, image: b, uid: -1}]",
        "volumes: [{name: A}]",
        "files: [{path: a, mode: '0999'}]",
    ],
)
def test_faults_an_editor_can_show(validator, text):
    assert list(validator.iter_errors(values(text)))


def test_descriptions_and_references():
    schema = json.loads(json_schema())
    assert schema["$schema"].endswith("2020-12/schema")
    container = schema["$defs"]["Container"]
    assert container["required"] == ["name", "image"]
    assert container["properties"]["net"]["description"].startswith("network: host")
    assert container["properties"]["net"]["examples"] == ["host", "root", "new", "none"]
    assert schema["properties"]["services"]["items"] == {"$ref": "#/$defs/Container"}
    assert all(d["additionalProperties"] is False for d in schema["$defs"].values())


def test_it_is_the_same_each_time():
    assert json_schema() == json_schema()

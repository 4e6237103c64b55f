import json

import pytest

POLICY = """\
default: deny
rules:
- allow:
  - '*.example.com'
  port:
  - '443'
- deny:
  - 10.0.0.0/8
  name: inside
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "egress.yml"
    path.write_text(POLICY)
    return path


def test_set_and_show(sampan, network, file):
    assert sampan("net", "policy", "show").out == "default: allow\nrules: []\n"
    assert sampan("net", "policy", "set", file) == (0, "", "")
    assert sampan("net", "policy", "show").out == POLICY
    assert json.loads(sampan("net", "policy", "show", "--json").out)["default"] == "deny"


def test_check_asks_no_network(sampan, file, runtime):
    assert sampan("net", "policy", "check", file) == (0, "", "")
    file.write_text("default: no\n")
    said = sampan("net", "policy", "check", file)
    assert said.status == 2
    assert "egress.yml:1" in said.err


def test_a_bad_file_changes_nothing(sampan, network, file):
    file.write_text("rules: [{}]")
    assert sampan("net", "policy", "set", file).status == 2
    assert sampan("net", "policy", "set", file.with_name("no")).status == 2
    assert sampan("net", "policy", "show").out == "default: allow\nrules: []\n"

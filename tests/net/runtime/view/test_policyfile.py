import json
import logging
import os

import pytest

from sampan.errors import DocumentError, UsageError
from sampan.net.runtime.view import policyfile
from sampan.net.runtime.view.policyfile import PolicyFile
from sampan.net.services.policy import Policy

GOOD = """\
default: deny
rules:
  - allow: ["*.example.com"]
    port: [443, 8000-8010]
    protocol: tcp
"""
BAD = """\
default: perhaps
rules:
  - allow: a.example
    port: web
  - allow: b.example
    deny: c.example
  - deny: d.example
    prot: tcp
"""


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "policy.yml"
    count = iter(range(1, 100))

    def write(text):
        path.write_text(text)
        os.utime(path, ns=(0, next(count)))  # a change is seen however fast it comes
        return path

    return write


def test_a_policy(write):
    policy = policyfile.load(write(GOOD))
    [rule] = policy.rules
    assert not policy.default_allow
    assert (rule.names, rule.ports) == (("*.example.com",), ((443, 443), (8000, 8010)))
    assert policyfile.parse("", "f") == Policy()


def test_json_is_a_policy_too(write):
    document = {"default": "deny", "rules": [{"allow": ["*.example.com"], "port": 443}]}
    policy = policyfile.load(write(json.dumps(document, indent="\t")))
    assert policy.rules[0].ports == ((443, 443),)


def test_all_faults_are_named_with_their_places(write):
    path = write(BAD)
    with pytest.raises(DocumentError) as caught:
        policyfile.load(path)
    assert {(each.path, each.where.line) for each in caught.value.problems} == {
        ("default", 1), ("rules[0].port", 4), ("rules[1]", 5), ("rules[2].prot", 8),
    }  # fmt: skip
    assert f"{path}:8:5: rules[2].prot: unknown key" in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", "just text", "rules: 5"])
def test_what_is_no_policy(text):
    with pytest.raises(DocumentError, match=r"f\.yml:1:1: "):
        policyfile.parse(text, "f.yml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        policyfile.load(tmp_path / "nothing")
    (tmp_path / "x").write_bytes(b"default: \xff")
    with pytest.raises(UsageError, match="not UTF-8 text: byte 9"):
        policyfile.load(tmp_path / "x")


def test_a_file_that_changes(write, caplog):
    caplog.set_level(logging.INFO, "sampan")
    file = PolicyFile(write(GOOD))
    before = file.policy
    assert file.changed() is None
    write(f"# only a comment\n{GOOD}")
    assert file.changed() is None
    write(GOOD.replace("deny", "allow"))
    after = file.changed()
    assert after is not None
    assert after == file.policy != before
    assert after.default_allow
    assert file.changed() is None
    assert caplog.text.count("read again") == 1


def test_a_file_that_becomes_wrong_changes_nothing(write, caplog):
    file = PolicyFile(write(GOOD))
    before = file.policy
    path = write(BAD)
    assert file.changed() is None
    assert file.changed() is None
    assert caplog.text.count("stays as it was") == 1
    assert ":4:5: rules[0].port" in caplog.text
    path.unlink()
    assert file.changed() is None
    assert file.policy == before
    write(GOOD.replace("443", "444"))
    assert file.changed() is not None


def test_a_file_is_followed(write, net):
    file = PolicyFile(write(GOOD))
    applied: list[Policy] = []
    end = policyfile.follow(net.loop, file, applied.append)
    net.advance(policyfile.LOOK_EVERY_S + 0.1)
    assert applied == []
    for port in ("444", "445"):
        write(GOOD.replace("443", port))
        net.advance(policyfile.LOOK_EVERY_S + 0.1)
    assert [each.rules[0].ports[0][0] for each in applied] == [444, 445]
    end()
    write(GOOD)
    net.advance(policyfile.LOOK_EVERY_S + 0.1)
    assert len(applied) == 2

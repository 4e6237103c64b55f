import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import DocumentError
from sampan.net.services.policy import Policy, Protocol, Target, parse


def target(address="1.2.3.4", port=443, protocol="tcp", *names) -> Target:
    return Target(address=address, port=port, protocol=Protocol(protocol), names=names)


STRICT = parse(
    {
        "default": "deny",
        "rules": [
            {"deny": "169.254.0.0/16", "name": "link-local"},
            {"allow": ["*.Example.com", "example.com"], "port": [443, "8000-8010"], "protocol": "tcp"},
            {"allow": ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]},
            {"deny": "bad.example.org"},
            {"allow": "*", "protocol": "icmp"},
        ],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("where", "allowed", "number"),
    [
        (target("169.254.169.254"), False, 0),
        (target("1.2.3.4", 443, "tcp", "www.example.com"), True, 1),
        (target("1.2.3.4", 8010, "tcp", "other.org", "example.com"), True, 1),
        (target("1.2.3.4", 8011, "tcp", "example.com"), False, None),
        (target("1.2.3.4", 443, "udp", "example.com"), False, None),
        (target("1.2.3.4", 443, "tcp", "notexample.com"), False, None),
        (target("1.2.3.4"), False, None),
        (target("10.9.8.7", 1, "udp"), True, 2),
        (target("fd00::1"), True, 2),
        (target("192.0.2.7"), True, 2),
        (target("192.0.2.8"), False, None),
        (target("1.1.1.1", 0, "icmp"), True, 4),
        (target("2001:db8::1", 0, "icmp"), True, 4),
    ],
)
def test_the_first_rule_that_matches_decides(where, allowed, number):
    decision = STRICT.decide(where)
    assert decision.allowed is allowed
    assert decision.rule == (None if number is None else STRICT.rules[number])


def test_by_default_everything_is_allowed():
    assert parse({}) == Policy()
    assert Policy().decide(target()).allowed
    assert Policy().may_resolve("x").allowed


def test_a_rule_has_a_name_for_events():
    rule = STRICT.decide(target("169.254.1.1")).rule
    assert rule is not None
    assert rule.name == "link-local"


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([{"deny": "evil.com"}], False),
        ([{"deny": "EVIL.com."}], False),
        ([{"deny": "*.com"}], False),
        ([{"deny": "good.com"}], True),
        ([{"deny": "evil.com", "port": 80}], True),
        ([{"deny": "*"}], False),
        ([{"deny": "*", "protocol": "udp"}], True),
        ([{"allow": "evil.com"}, {"deny": "*"}], True),
        ([{"allow": "evil.com", "port": 443}, {"deny": "*"}], True),
        ([{"allow": "10.0.0.0/8"}, {"deny": "*"}], True),
        ([{"deny": "10.0.0.0/8"}, {"deny": "*"}], False),
    ],
)
def test_names_that_lead_nowhere_are_not_resolved(rules, allowed):
    assert parse({"rules": rules}).may_resolve("Evil.com").allowed is allowed


def test_all_faults_are_named_with_their_paths():
    document = {
        "default": "maybe",
        "extra": 1,
        "rules": [
            {"allow": "a", "deny": "b"},
            "deny",
            {"allow": "b c", "port": [0, "9-1", "x", 70000], "protocol": "sctp", "ports": 1},
            {"deny": []},
            {"deny": 5},
        ],
    }
    with pytest.raises(DocumentError) as caught:
        parse(document, name="egress.yml")
    paths = [problem.path for problem in caught.value.problems]
    assert paths == [
        "egress.yml.extra",
        "egress.yml.default",
        "egress.yml.rules[0]",
        "egress.yml.rules[1]",
        "egress.yml.rules[2].ports",
        "egress.yml.rules[2].allow",
        "egress.yml.rules[2].protocol",
        *["egress.yml.rules[2].port"] * 4,
        "egress.yml.rules[3].deny",
        "egress.yml.rules[4].deny",
    ]


@pytest.mark.parametrize("document", [None, [], "x", {"rules": {}}, {"rules": 5}])
def test_what_is_no_policy(document):
    with pytest.raises(DocumentError):
        parse(document)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["rules", "allow", "deny", "port", "default", "protocol"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(json)
def test_any_document_is_a_policy_or_refused(document):
    try:
        policy = parse(document)
    except DocumentError:
        return
    policy.decide(target())
    policy.may_resolve("x")

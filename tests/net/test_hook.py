import pytest

from sampan.errors import UsageError
from sampan.net import hook
from sampan.net.hook import DnsQuery, FlowInfo, Hooks, HttpRequest, Kind

FLOW = FlowInfo(machine="192.168.65.3", protocol="tcp", address="192.0.2.1", port=80)
REQUEST = HttpRequest(
    flow=FLOW, method="GET", target="/a?b", host="x.example",
    headers=(("Host", "x.example"), ("Accept", "a"), ("accept", "b")),
)  # fmt: skip


@hook.on_flow
def flows(info: FlowInfo) -> hook.Answer:
    return hook.Refuse(info.address)


@hook.on_dns
def names(query: DnsQuery) -> hook.Answer:
    return None


def test_a_decorated_function_is_a_hook_and_can_be_called():
    assert (flows.kind, names.kind) == (Kind.FLOW, Kind.DNS)
    assert flows(FLOW) == hook.Refuse("192.0.2.1")
    assert flows.name.endswith("test_hook.flows")
    assert hook.on_http_request(lambda request: None).kind is Kind.HTTP_REQUEST


def test_hooks_are_kept_in_order_and_once():
    hooks = Hooks([names, flows, names])
    assert list(hooks) == [names, flows]
    assert hooks.of(Kind.FLOW) == (flows,)
    assert hooks.of(Kind.HTTP_REQUEST) == ()
    hooks.remove(names)
    hooks.remove(names)
    assert len(hooks) == 1


def test_what_is_not_decorated_is_no_hook():
    with pytest.raises(UsageError, match="is no hook"):
        Hooks([lambda info: None])  # type: ignore[list-item]  # what users do


def test_collecting_those_of_a_module():
    namespace = {"b": names, "x": 1, "a": flows, "again": names}
    assert hook.collect(namespace) == (names, flows)


@pytest.mark.parametrize(
    ("target", "method", "host", "url"),
    [
        ("/a?b", "GET", "x.example", "http://x.example/a?b"),
        ("/", "GET", "", "http://192.0.2.1/"),
        ("*", "OPTIONS", "x", "http://x"),
        ("http://y/z", "GET", "x", "http://y/z"),
        ("y:443", "CONNECT", "x", "y:443"),
    ],
)
def test_urls(target, method, host, url):
    assert REQUEST.replace(target=target, method=method, host=host).url == url


def test_headers():
    assert REQUEST.header("ACCEPT") == "a"
    assert REQUEST.header("Cookie") is None
    assert REQUEST.without_header("Accept").headers == (("Host", "x.example"),)
    assert REQUEST.with_header("accept", "c").headers == (("Host", "x.example"), ("accept", "c"))
    assert REQUEST.header("Accept") == "a"  # the original is as it was


def test_copies():
    assert FLOW.replace(port=81).port == 81
    assert DnsQuery(machine="m", name="a", kind="A").replace(name="b").name == "b"


@pytest.mark.parametrize("seconds", [-1, 3601, float("nan"), float("inf")])
def test_delays_are_bounded(seconds):
    with pytest.raises(UsageError):
        hook.Delay(seconds)

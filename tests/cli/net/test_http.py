import json

from sampan.cli.net.http import line
from sampan.net.runtime.control.model import EventRecord
from sampan.net.runtime.view.httpview import HttpRecord, NameRecord
from sampan.net.services.httpview import Exchange

EXCHANGE = Exchange(
    number=1, method="GET", url="http://a.test/x", version="1.1", request_fields=(),
    request_head_bytes=1, request_body_bytes=0, status=200, response_body_bytes=2048, started=0,
    connect_s=0.01, send_s=0.001, wait_s=0.02, receive_s=None,
)  # fmt: skip


def _record(exchange):
    return HttpRecord(
        flow=1,
        machine="192.168.65.3",
        client="192.168.65.3",
        server="192.0.2.1",
        server_port=80,
        exchange=exchange,
    )


def _event(record, kind="http.exchange"):
    import msgspec

    return EventRecord(number=1, time_s=0, kind=kind, data=msgspec.to_builtins(record))


def test_lines():
    said = line(_event(_record(EXCHANGE))).split(maxsplit=1)[1]
    assert said == "192.168.65.3    GET  http://a.test/x  200  2.00 KiB  31 ms\n"


def test_what_was_cut_off():
    import msgspec

    cut = msgspec.structs.replace(EXCHANGE, status=0, cut="reset", url="http://a\x1b[2J/")
    assert "GET  http://a?[2J/  (reset)  2.00 KiB" in line(_event(_record(cut)))


def test_encrypted_connections():
    name = NameRecord(
        flow=1,
        machine="192.168.65.3",
        client="192.168.65.3",
        server="192.0.2.1",
        server_port=443,
        name="b.test",
    )
    assert line(_event(name, "tls.name")).endswith("192.168.65.3    TLS  b.test\n")


def test_what_there_was(sampan, network):
    def happen(assembly):
        assembly.events.append("http.exchange", _record(EXCHANGE))
        assembly.events.append("flow.opened")

    network.network.call(happen)
    said = sampan("net", "http", "--once")
    assert said.out.count("\n") == 1
    assert "http://a.test/x" in said.out
    event = json.loads(sampan("net", "http", "--once", "--json").out)
    assert event["data"]["exchange"]["status"] == 200
    assert network.network.call(lambda each: each.http) is not None

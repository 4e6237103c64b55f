import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services import har
from sampan.net.services.httphead import HIDDEN
from sampan.net.services.httpview import Exchange

SCHEMA = json.loads(Path(__file__).with_name("har.schema.json").read_text())
EPOCH_S = 1_800_000_000.0

SEEN = Exchange(
    number=0,
    method="GET",
    url="http://example.com/a?x=1&y=a+b%20c&z&x=#there",
    version="HTTP/1.1",
    request_fields=(("Host", "example.com"), ("Authorization", "Basic eDp5"), ("cookie", "a=b")),
    request_head_bytes=90,
    request_body_bytes=0,
    status=302,
    reason="Found",
    response_version="HTTP/1.1",
    response_fields=(("Location", "/there"), ("Set-Cookie", "a=c")),
    response_head_bytes=60,
    response_body_bytes=5,
    content_type="text/plain",
    started=12.5,
    connect_s=0.5,
    send_s=0.001,
    wait_s=0.25,
    receive_s=0.0015,
)


def archive(*exchanges, **options):
    entries = [
        har.entry(each, epoch_s=EPOCH_S, server="192.0.2.1", connection="7", **options)
        for each in exchanges
    ]
    written = har.opening("1.2.3", 'a "test"') + har.SEPARATOR.join(entries) + har.CLOSING
    document = json.loads(written)
    jsonschema.validate(document, SCHEMA)
    return document["log"]


def test_an_entry():
    log = archive(SEEN)
    assert log["creator"] == {"name": "sampan", "version": "1.2.3"}
    assert log["comment"] == 'a "test"'
    [entry] = log["entries"]
    assert entry["startedDateTime"] == "2027-01-15T08:00:12.000Z"
    assert entry["time"] == 752.5
    assert entry["timings"] == {"connect": 500, "send": 1, "wait": 250, "receive": 1.5}
    assert (entry["serverIPAddress"], entry["connection"]) == ("192.0.2.1", "7")
    request, response = entry["request"], entry["response"]
    assert (request["headersSize"], request["bodySize"]) == (90, 0)
    assert [(each["name"], each["value"]) for each in request["queryString"]] == [
        ("x", "1"), ("y", "a b c"), ("z", ""), ("x", ""),
    ]  # fmt: skip
    assert (response["status"], response["statusText"]) == (302, "Found")
    assert response["redirectURL"] == "/there"
    assert response["content"] == {"size": 5, "mimeType": "text/plain"}


def test_credentials_are_hidden_unless_asked_for():
    assert "Basic" not in json.dumps(archive(SEEN))
    hidden = archive(SEEN)["entries"][0]
    pairs = [*hidden["request"]["headers"], *hidden["response"]["headers"]]
    assert [each["value"] == HIDDEN for each in pairs] == [False, True, True, False, True]
    shown = archive(SEEN, secrets=True)["entries"][0]
    assert shown["request"]["headers"][1]["value"] == "Basic eDp5"


def test_what_was_cut():
    cut = Exchange(
        number=1, method="GET", url="http://x/", version="HTTP/1.0", request_fields=(),
        request_head_bytes=20, request_body_bytes=0, started=1.0, send_s=0.5, cut="reset",
    )  # fmt: skip
    [entry] = archive(cut)["entries"]
    assert entry["comment"] == "cut: reset"
    assert (entry["response"]["status"], entry["response"]["bodySize"]) == (0, -1)
    assert entry["timings"] == {"connect": -1, "send": 500, "wait": 0, "receive": 0}
    assert entry["time"] == 500


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_archive_is_whole_with_any_number_of_entries(count):
    assert len(archive(*[SEEN] * count)["entries"]) == count


TEXT = st.text(st.characters(max_codepoint=255), max_size=30)


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple))
def test_any_text_makes_a_sound_archive(url, reason, fields):
    archive(
        Exchange(
            number=0, method="X", url=f"http://h/{url}", version="HTTP/1.1", request_fields=fields,
            request_head_bytes=1, request_body_bytes=1, reason=reason, response_fields=fields,
            started=0.0,
        )
    )  # fmt: skip


def test_parameters_are_bounded():
    long = Exchange(
        number=0, method="GET", url="http://h/?" + "a&" * 1000, version="HTTP/1.1",
        request_fields=(), request_head_bytes=1, request_body_bytes=0, started=0.0,
    )  # fmt: skip
    [entry] = archive(long)["entries"]
    assert len(entry["request"]["queryString"]) == har.MAX_PARAMETERS

import json
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.oci.registry import fault

LOGIN_HINT = (
    "check the name, or log in: docker login r.test, or without Docker "
    "skopeo login --authfile ~/.docker/config.json r.test"
)
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def said(*messages):
    return json.dumps({"errors": [{"code": "X", "message": text} for text in messages]}).encode()


@pytest.mark.parametrize(
    ("code", "headers", "body", "message", "hint"),
    [
        (404, {}, said("manifest unknown"), "r.test has no a/b:1: manifest unknown",
         "check the name and the tag"),
        (429, {}, b"", "r.test limits how much may be fetched, and the limit is reached (429)",
         "come back later, log in for a higher limit (docker login r.test), or name a --mirror"),
        (429, {"Retry-After": "90"}, b"",
         "r.test limits how much may be fetched, and the limit is reached (429)",
         "come back in 90 s, log in for a higher limit (docker login r.test), or name a --mirror"),
        (503, {}, b"<html>", "r.test answered 503 Service Unavailable about a/b:1",
         "the registry is in trouble: try again later"),
        (400, {}, said("one", "two"), "r.test answered 400 Bad Request about a/b:1: one; two",
         None),
        (999, {}, b"", "r.test answered 999 about a/b:1", None),
        (401, {}, b"", "r.test wants a login for a/b:1 (401)",
         LOGIN_HINT),
    ],
)  # fmt: skip
def test_statuses_are_explained(code, headers, body, message, hint):
    error = fault.status("a/b:1", "r.test", code, headers, body)
    assert str(error) == message
    assert error.hint == hint


def test_a_login_that_is_not_enough_is_told_apart():
    error = fault.access("a/b:1", "r.test", 403, said("denied"), user="me")
    assert str(error) == "r.test does not let me have a/b:1 (403): denied"
    assert error.hint == "check the name, or log in as somebody else: docker login r.test"
    error = fault.access("a/b:1", "r.test", 401, b"", problem="helper x failed")
    assert error.hint is not None
    assert error.hint.startswith("helper x failed; check the name, or log in")


def test_what_may_pass_is_known():
    def transient(code, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return fault.status("x", "r", code, headers, b"").transient

    assert [code for code in (400, 401, 404, 408, 429, 500, 501, 502, 503, 504) if transient(code)] == [
        408, 429, 500, 502, 503, 504,
    ]  # fmt: skip
    assert transient(429, Retry_After="60")
    assert not transient(429, Retry_After="61")
    assert not transient(503, Retry_After="3600")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("", 0), ("soon", 0), ("-3", 0), (DATE, 30), ("9" * 50, 999999999), ("²", 0)],
)
def test_retry_after_is_a_number_or_a_date(text, seconds):
    sent = {"Retry-After": text, "Date": "Wed, 21 Oct 2026 07:27:30 GMT"}
    assert fault.retry_after_s(sent) == seconds


def test_a_date_without_a_date_to_compare_is_no_wait():
    assert fault.retry_after_s({"Retry-After": DATE}) == 0
    assert fault.retry_after_s({"Retry-After": DATE}, now_s=0) > 1e9


def test_strangers_cannot_command_the_terminal():
    assert fault.printable("a\x1b[31mb\n c\u202e") == "a [31mb c"
    assert len(fault.printable("x" * 10_000)) == 201


def test_tls_failures_say_what_to_do():
    error = fault.tls("r.test", ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version"))
    assert str(error).startswith("no encrypted connection to r.test: ")
    assert error.hint == (
        "if the registry has no encryption and you accept that: --mirror r.test=http://r.test"
    )
    expired = ssl.SSLCertVerificationError(1, "x")
    expired.verify_code, expired.verify_message = 10, "certificate has expired"
    error = fault.tls("r.test", expired)
    assert str(error) == "the certificate of r.test is not trusted: certificate has expired"
    assert error.hint is None


@given(st.binary(max_size=200), st.integers(300, 700), st.dictionaries(
    st.sampled_from(["Retry-After", "Date"]), st.text(max_size=40)))  # fmt: skip
@settings(max_examples=200)
def test_any_answer_gives_an_error(body, code, headers):
    error = fault.status("x", "r", code, headers, body)
    assert str(error).isprintable()

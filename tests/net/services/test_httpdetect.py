import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.httpdetect import MAX_LINE, Language, detect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STARTS = {
    b"GET / HTTP/1.1\r\n": Language.HTTP1,
    b"\r\nPOST /a HTTP/1.0\r\nHost: x": Language.HTTP1,
    b"PROPFIND /dav HTTP/1.1\r\n": Language.HTTP1,
    b"M-SEARCH * HTTP/1.1\r\n": Language.HTTP1,
    b"CONNECT a:443 HTTP/1.1\r\n": Language.HTTP1,
    PREFACE: Language.HTTP2,
    b"\x16\x03\x01\x02\x00": Language.TLS,
    b"SSH-2.0-OpenSSH_9.6\r\n": Language.OTHER,
    b"EHLO me\r\n": Language.OTHER,
    b"*1\r\n$4\r\nPING\r\n": Language.OTHER,
    b"PING\r\n": Language.OTHER,
    b"get / HTTP/1.1\r\n": Language.OTHER,
    b"GET / HTTP/3.0\r\n": Language.OTHER,
    b"GET / \r\n": Language.OTHER,
    b"\x00\x00": Language.OTHER,
    b"\x16\x02": Language.OTHER,
}


@pytest.mark.parametrize(("start", "language"), STARTS.items())
def test_languages(start, language):
    assert detect(start) is language


@pytest.mark.parametrize(("start", "language"), STARTS.items())
def test_a_beginning_never_says_otherwise(start, language):
    seen = [detect(start[:size]) for size in range(len(start))]
    assert set(seen) <= {Language.UNKNOWN, language}


@pytest.mark.parametrize(
    "data", [b"\0", b"G\0", b"GET /\0", b"GET /\x7f", b"GET / X", b"(", b"GET / HTTP/2"]
)
def test_said_at_the_first_byte_that_does_not_fit(data):
    assert detect(data[:-1]) is Language.UNKNOWN
    assert detect(data) is Language.OTHER


@pytest.mark.parametrize("data", [b"GET /" + b"a" * MAX_LINE, b"\r\n" * (MAX_LINE + 1)])
def test_not_for_ever_unknown(data):
    assert detect(data[:100]) is Language.UNKNOWN
    assert detect(data) is Language.OTHER


@given(st.binary(max_size=40), st.sampled_from([b"", b"GET ", PREFACE[:5]]))
def test_noise(noise, start):
    assert detect(start + noise) in Language

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.guest.remote import call
from sampan.guest.remote.call import Params
from sampan.guest.remote.fault import CallError


def test_a_call():
    method, params = call.parse(
        b'{"method":"exec","params":{"argv":["a","b"],"n":3,"e":{"A":"b"}}}'
    )
    assert method == "exec"
    assert params.words("argv") == ["a", "b"]
    assert params.get("n", 0) == 3
    assert params.get("n", 0.5) == 3.0
    assert params.get("none", "default") == "default"
    assert params.table("e") == {"A": "b"}
    assert params.has("n")
    assert not params.has("none")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b'{"method":1}', b'{"method":"x","params":[]}', b"\xff", b"[" * 9999]
)
def test_no_call(body):
    with pytest.raises(CallError):
        call.parse(body)


@pytest.mark.parametrize(
    "read",
    [
        lambda params: params.get("text", 0),
        lambda params: params.get("yes", 0),
        lambda params: params.text("none"),
        lambda params: params.text("nul"),
        lambda params: params.words("mixed"),
        lambda params: params.words("text"),
        lambda params: params.table("numbers"),
        lambda params: params.table("mixed"),
    ],
)
def test_values_of_another_kind(read):
    params = Params(
        {"text": "x", "yes": True, "nul": "a\0", "mixed": ["a", 1], "numbers": {"a": 1}}
    )
    with pytest.raises(CallError):
        read(params)


def test_answers():
    assert json.loads(call.result({"code": 3})) == {"result": {"code": 3}}
    assert json.loads(call.error("x" * 9000)) == {"error": "x" * 4096}


@given(st.binary(max_size=100))
def test_notes_never_raise(body):
    assert isinstance(call.parse_note(body), Params)

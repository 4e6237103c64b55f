import json

import msgspec
import pytest

from sampan.errors import SampanError, UnsupportedError, UsageError
from sampan.net.runtime.control.message import Request, Response
from sampan.net.runtime.control.route import Nothing, Route, Table


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    loud: bool = False


def _raise(error):
    def handler(target, asked):
        del target, asked
        raise error

    return handler


ROUTES: tuple[Route[str], ...] = (
    Route(method="GET", path="/thing/{id}", summary="", handler=lambda t, a: (t, a.id, a.loud),
          argument=Asked, answer=tuple[str, int, bool]),
    Route(method="POST", path="/thing", summary="", handler=lambda t, a: a.id, argument=Asked,
          answer=int, status=201),
    Route(method="DELETE", path="/thing/{id}", summary="", handler=lambda t, a: None,
          argument=Asked, status=204),
    Route(method="POST", path="/press", summary="", handler=lambda t, a: Response(status=202)),
    Route(method="GET", path="/usage", summary="", handler=_raise(UsageError("no", hint="yes"))),
    Route(method="GET", path="/failed", summary="", handler=_raise(SampanError("sad"))),
    Route(method="GET", path="/cannot", summary="",
          handler=_raise(UnsupportedError("a", "b", "c", instead="d"))),
    Route(method="GET", path="/bug", summary="", handler=_raise(ZeroDivisionError("secret"))),
)  # fmt: skip


@pytest.fixture
def call():
    table = Table("it", ROUTES)

    def call(method, path, body=b"", **query):
        answer = table.answer(Request(method=method, path=path, query=query, body=body))
        assert isinstance(answer, Response)
        return answer.status, json.loads(answer.body) if answer.body else None

    return call


def test_arguments_of_path_and_query(call):
    assert call("GET", "/thing/7") == (200, ["it", 7, False])
    assert call("GET", "/thing/7", loud="true") == (200, ["it", 7, True])


def test_the_path_is_stronger_than_the_query(call):
    assert call("GET", "/thing/7", id="8") == (200, ["it", 7, False])


def test_argument_in_the_body(call):
    assert call("POST", "/thing", b'{"id": 3}') == (201, 3)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"id": "3"}', b'{"id": 3, "x": 1}', b"\xff", b"[3]"]
)
def test_bodies_that_make_no_sense(call, body):
    status, said = call("POST", "/thing", body)
    assert status == 400
    assert said["error"]["message"].startswith("the body of POST /thing makes no sense: ")
    assert said["error"]["hint"] == "GET /openapi.json describes it"


def test_queries_that_make_no_sense(call):
    status, said = call("GET", "/thing/x")
    assert (status, said["error"]["code"]) == (400, 2)
    assert call("GET", "/thing/1", more="1")[0] == 400


def test_no_answer(call):
    assert call("DELETE", "/thing/1") == (204, None)
    assert call("POST", "/press") == (202, None)


def test_unknown_path(call):
    status, said = call("GET", "/other")
    assert (status, said["error"]["message"]) == (404, "there is no /other")
    assert call("GET", "/thing/1/2")[0] == 404
    assert call("GET", "/thing/")[0] == 404


def test_wrong_method():
    answer = Table("it", ROUTES).answer(Request(method="PUT", path="/thing/1"))
    assert (answer.status, answer.allow) == (405, ("GET", "DELETE"))


def test_errors(call):
    assert call("GET", "/usage") == (400, {"error": {"code": 2, "message": "no", "hint": "yes"}})
    assert call("GET", "/failed") == (422, {"error": {"code": 1, "message": "sad"}})
    assert call("GET", "/cannot")[0] == 501


def test_our_fault_is_logged_and_not_told(call, caplog):
    status, said = call("GET", "/bug")
    assert (status, said["error"]["code"]) == (500, 70)
    assert "secret" not in str(said)
    assert "secret" in caplog.text


def test_which_arguments_come_in_the_body():
    assert [route.has_body for route in ROUTES] == [False, True] + [False] * 6
    assert ROUTES[3].argument is Nothing

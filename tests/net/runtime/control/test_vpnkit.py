"""VPNKit's port control, as its Go client speaks it."""

import json

import msgspec
import pytest

from sampan.errors import SampanError
from sampan.net.runtime.control import vpnkit
from sampan.net.runtime.control.message import Request
from sampan.net.services.portcontrol import Port

WEB = {"proto": "tcp", "out_ip": "127.0.0.1", "out_port": 8080, "in_ip": "10.0.0.2", "in_port": 80}


class Recorder:
    def __init__(self):
        self.ports: tuple[Port, ...] = ()
        self.told: list[tuple[str, Port]] = []

    def expose(self, port):
        self.told.append(("expose", port))
        if port.out_port == 1:
            raise SampanError("port 1 is taken", hint="choose another")
        self.ports += (port,)

    def unexpose(self, port):
        self.told.append(("unexpose", port))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def ask(recorder):
    def ask(method, path, body=b""):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return vpnkit.table(recorder).answer(Request(method=method, path=path, body=text))

    return ask


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        (method, f"/forwards/{what}/{kind}", what)
        for kind in ("port", "pipe")
        for method, what in (
            ("PUT", "expose"),
            ("POST", "expose"),
            ("DELETE", "unexpose"),
            ("POST", "unexpose"),
        )
    ],
)
def test_what_is_asked(ask, recorder, method, path, what):
    answer = ask(method, path, WEB)
    assert (answer.status, answer.body) == (200, b"")
    assert recorder.told == [(what, msgspec.convert(WEB, Port))]


def test_the_list(ask):
    assert ask("GET", "/forwards/list").body == b"[]\n"
    ask("PUT", "/forwards/expose/port", WEB)
    assert json.loads(ask("GET", "/forwards/list").body) == [WEB]


def test_refused(ask):
    answer = ask("PUT", "/forwards/expose/port", {**WEB, "out_port": 1})
    assert answer.status == 400
    assert json.loads(answer.body) == {"message": "port 1 is taken (choose another)"}


@pytest.mark.parametrize("body", [b"[]", b'{"out_port": 70000}', b'{"proto": 1}'])
def test_what_is_no_port(ask, recorder, body):
    answer = ask("PUT", "/forwards/expose/port", body)
    assert answer.status == 400
    assert json.loads(answer.body)["message"].startswith("that is no port")
    assert recorder.told == []


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_not_even_json(ask, recorder, body):
    assert ask("PUT", "/forwards/expose/port", body).status == 400
    assert recorder.told == []


def test_nothing_else(ask):
    assert ask("GET", "/v1/network").status == 404
    assert ask("GET", "/forwards/expose/port").status == 405

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.guest.agent import control
from sampan.guest.agent.fault import AgentError


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b"list\n", ("list", "")),
        (b"stop web\n", ("stop", "web")),
        (b"  restart   web  ", ("restart", "web")),
        (b"stop-all\n", ("stop-all", "")),
    ],
)
def test_requests(line, request_):
    assert control.parse_request(line) == request_


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "say one of: list, status"),
        (b"dance web", "say one of"),
        (b"stop", "usage: service stop NAME"),
        (b"stop a b", "usage: service stop NAME"),
        (b"list web", "usage: service list"),
    ],
)
def test_what_is_no_request(line, message):
    with pytest.raises(AgentError, match=message):
        control.parse_request(line)


@given(st.binary(max_size=100))
def test_no_bytes_crash_it(line):
    try:
        command, _ = control.parse_request(line)
    except AgentError:
        return
    assert command in control.COMMANDS


@pytest.fixture
def supervisor(tmp_path):
    """A socket that answers one request with `reply`; yields (path, set_reply, requests)."""
    path = str(tmp_path / "s.sock")
    server = control.listen(path)
    server.setblocking(True)
    replies: list[bytes] = []
    requests: list[bytes] = []

    def answer():
        client, _ = server.accept()
        with client:
            requests.append(client.makefile("rb").readline())
            client.sendall(replies[0])

    thread = threading.Thread(target=answer)
    yield path, replies, requests, thread
    thread.join()
    server.close()


def test_ask(supervisor):
    path, replies, requests, thread = supervisor
    replies.append(control.format_reply("NAME\nweb", ok=True))
    thread.start()
    assert control.ask("status web", path) == "NAME\nweb"
    assert requests == [b"status web\n"]


def test_a_refusal_is_an_error(supervisor):
    path, replies, _, thread = supervisor
    replies.append(control.format_reply("no service 'x'", ok=False))
    thread.start()
    with pytest.raises(AgentError, match="no service 'x'"):
        control.ask("stop x", path)


def test_nobody_listens(tmp_path):
    with pytest.raises(AgentError, match="the supervisor does not answer"):
        control.ask("list", str(tmp_path / "none.sock"))


def test_listening_again_takes_the_old_socket_away(tmp_path):
    path = str(tmp_path / "run" / "s.sock")
    control.listen(path).close()
    control.listen(path).close()

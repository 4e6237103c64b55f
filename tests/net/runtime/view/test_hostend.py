import os
import socket
from types import SimpleNamespace

import pytest

from sampan.net.runtime.view import hostend


@pytest.mark.parametrize(
    ("family", "address", "shown"),
    [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")],
)
def test_what_a_socket_is_connected_to(family, address, shown):
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((address, port)) as client:
            context = SimpleNamespace(socket=client)
            assert hostend.address(context) == f"{shown}:{port}"
            assert hostend.peer_pid(context) == 0


def test_who_is_behind_a_unix_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        context = SimpleNamespace(socket=ours)
        assert hostend.peer_pid(context) == os.getpid()
        assert hostend.address(context) == ""


def test_flows_that_lead_to_no_socket():
    with socket.socket() as alone:
        contexts = (None, object(), SimpleNamespace(socket="x"), SimpleNamespace(socket=alone))
        for context in contexts:
            assert hostend.address(context) == ""
            assert hostend.peer_pid(context) == 0
    assert hostend.peer_pid(SimpleNamespace(socket=alone)) == 0

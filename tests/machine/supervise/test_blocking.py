import asyncio
import os
import socket
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from sampan.errors import SampanError
from sampan.machine import Ending
from sampan.machine.error import MachineError
from sampan.machine.supervise import model, protocol
from sampan.machine.supervise.blocking import Client
from sampan.machine.view.event import Ended


@pytest.fixture
def client(supervised):
    """A client of a machine that is stopped by its power button, in another thread."""
    ready: Future[Any] = Future()

    async def live():
        async with supervised("say up", "await root\r", "say hello", "button", "poweroff") as (
            vm, path,
        ):  # fmt: skip
            ready.set_result((path, asyncio.get_running_loop(), vm))
            await vm.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    path, loop, vm = ready.result(60)
    yield Client(path)
    asyncio.run_coroutine_threadsafe(vm.kill(), loop) if not loop.is_closed() else None
    thread.join(60)


def test_a_life(client):
    assert client.info().name == "sampan"
    client.pause()
    client.resume()
    assert client.execute("query-status") == {}
    assert client.metrics().machine == "sampan"
    assert [each.seq for each in client.events(after=1)] == [2, 3]
    with client.console(replay_bytes=100) as console:
        console.sendall(b"root\r")
        seen = b""
        while b"hello" not in seen:
            seen += console.recv(100)
        client.press_power_button()
        while console.recv(100):
            pass


def test_following_and_stopping(client):
    with client.console() as console:
        console.sendall(b"root\r")
        found = []
        thread = threading.Thread(target=lambda: found.extend(client.events(follow=True)))
        thread.start()
        assert client.stop(deadline_s=20).ending is Ending.POWERED_OFF
        thread.join(60)
        assert isinstance(found[-1], Ended)


def test_killing(client):
    assert client.kill().ending is Ending.FORCED


def test_errors(client):
    with pytest.raises(protocol.UnknownMethodError):
        client.call("dance", model.Nothing(), model.Nothing)
    with pytest.raises(protocol.UnknownMethodError):
        client.upgrade("dance", model.Nothing())
    with pytest.raises(SampanError, match="what answers at"):
        client.upgrade("info", model.Nothing())
    with pytest.raises(SampanError, match="what answers at"):
        client.call("info", model.Nothing(), model.Ended)


def test_nobody_answers(runtime_root):
    with pytest.raises(protocol.NotAnsweringError, match="nobody answers at"):
        Client(runtime_root / "gone").info()


def answering(path, data):
    """Something else that listens at `path`, and answers once with `data`."""

    def serve():
        with listener.accept()[0] as peer:
            peer.recv(1000)
            peer.sendall(data)
            if not data:
                peer.recv(1000)

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(path))
    listener.listen()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"220 mail\n", MachineError), (b'{"id": 1}\n', MachineError), (b"x", MachineError)],
)
def test_what_answers_is_something_else(runtime_root, data, kind):
    with answering(runtime_root / "s", data), pytest.raises(kind):
        Client(runtime_root / "s").info()


def test_one_that_says_nothing(runtime_root):
    with (
        answering(runtime_root / "s", b""),
        pytest.raises(protocol.NotAnsweringError, match=r"does not answer \(info\)"),
    ):
        Client(runtime_root / "s", timeout_s=0.05).info()

"""A machine's sockets without a machine: where they are, who finds them, what is refused."""

import asyncio
import socket
from concurrent.futures import Future

import pytest

from sampan.errors import SampanError, UsageError
from sampan.machine import state, vsock
from sampan.machine.device import Vsock
from sampan.machine.error import MachineError, MachineTimeoutError
from sampan.machine.vsock import BlockingEndpoint, VsockRefusedError


@pytest.fixture
def runtime(runtime_root):
    """The folder that is made for the sockets."""
    return runtime_root / "v"


@pytest.fixture
def endpoint(runtime):
    with vsock.opened(Vsock(cid=5, ports=(2374,)), runtime) as made:
        yield made


@pytest.fixture
def answered(endpoint, monkeypatch):
    """What the guest says to the next connection: a socket, None, or nothing yet."""

    def say(*what):
        future: Future[socket.socket | None] = Future()
        if what:
            future.set_result(what[0])
        monkeypatch.setattr(endpoint._server, "connect", lambda _: future)
        return future

    return say


def test_a_machine_without(runtime):
    with vsock.opened(None, runtime) as made:
        assert made is None
    assert not runtime.exists()


def test_where_everything_is(endpoint, runtime):
    names = {path.name for path in runtime.iterdir()}
    assert names == {"device", "connect", "v.sock", "00000005.00000946", "guest.00000946"}
    assert (endpoint.folder, endpoint.device_path) == (runtime, runtime / "device")
    assert endpoint.connections == 0


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Vsock(cid=2), "cannot have the vsock address 2"),
        (Vsock(cid=2**32 - 1), "cannot have the vsock address"),
        (Vsock(ports=(1, 2**32 - 1)), "there is no vsock port 4294967295"),
        (Vsock(ports=(-1,)), "there is no vsock port -1"),
        (Vsock(ports=(1, 2, 1)), "a vsock port twice"),
    ],
)
def test_what_cannot_be(runtime, wanted, why):
    with pytest.raises(UsageError, match=why), vsock.opened(wanted, runtime):
        raise AssertionError


class TestLinks:
    def test_they_are_made_and_go(self, runtime, tmp_path):
        wanted = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 10, "web-state")
        with vsock.opened(Vsock(ports=(7,), folder=wanted), runtime):
            link = wanted / "guest.00000007"
            assert {path.name for path in wanted.iterdir()} == {
                "connect", "v.sock", "00000003.00000007", "guest.00000007",
            }  # fmt: skip
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(link.readlink()))
        assert not wanted.exists()

    def test_a_folder_that_was_there_stays(self, runtime, tmp_path):
        (tmp_path / "state").mkdir()
        with vsock.opened(Vsock(folder=tmp_path / "state"), runtime):
            (tmp_path / "state" / "disk.img").touch()
        assert [path.name for path in (tmp_path / "state").iterdir()] == ["disk.img"]

    def test_what_a_crash_left_is_replaced_and_nothing_else(self, runtime, tmp_path):
        (tmp_path / "connect").symlink_to("/gone")
        with vsock.opened(Vsock(folder=tmp_path), runtime):
            assert (tmp_path / "connect").readlink() == runtime / "connect"
            (tmp_path / "connect").unlink()
            (tmp_path / "connect").symlink_to("/a/machine/after/us")
        assert (tmp_path / "connect").is_symlink()
        (tmp_path / "v.sock").write_text("mine")
        with (
            pytest.raises(MachineError, match="cannot make the link"),
            vsock.opened(Vsock(folder=tmp_path), tmp_path / "w"),
        ):
            raise AssertionError
        assert (tmp_path / "v.sock").read_text() == "mine"


class TestConnect:
    def test_a_socket(self, endpoint, answered):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            answered(ours)
            assert asyncio.run(endpoint.connect(22)) is ours
            assert BlockingEndpoint(endpoint).connect(22) is ours

    def test_a_refusal(self, endpoint, answered):
        answered(None)
        with pytest.raises(VsockRefusedError, match="port 22"):
            asyncio.run(endpoint.connect(22))
        with pytest.raises(VsockRefusedError, match="port 22"):
            endpoint.connect_blocking(22)

    def test_no_answer_in_time(self, endpoint, answered):
        future = answered()
        with pytest.raises(MachineTimeoutError, match="did not answer"):
            asyncio.run(endpoint.connect(22, timeout_s=0.01))
        assert future.cancelled()
        future = answered()
        with pytest.raises(MachineTimeoutError, match="did not answer"):
            BlockingEndpoint(endpoint).connect(22, timeout_s=0.01)
        assert future.cancelled()

    def test_no_port(self, endpoint):
        with pytest.raises(UsageError, match="no vsock port -1"):
            asyncio.run(endpoint.connect(-1))


class TestListen:
    def test_where_the_guest_finds_it(self, endpoint, runtime):
        with BlockingEndpoint(endpoint).listen(5000) as listening:
            listening.settimeout(60)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(runtime / "00000002.00001388"))
                taken, _ = listening.accept()
                taken.close()
            with pytest.raises(SampanError, match="in use"):
                endpoint.listen(5000)
        endpoint.listen(5000).close()  # nobody is there any more


def test_all_of_it_without_asyncio(endpoint, runtime):
    blocking = BlockingEndpoint(endpoint)
    blocking.reset()
    assert (blocking.folder, blocking.cid, blocking.connections) == (runtime, 5, 0)


def test_nothing_is_left_in_the_runtime_folder(runtime_root):
    with state.machine_folder(runtime_root) as folder:
        with vsock.opened(Vsock(ports=(7,)), folder.vsock) as endpoint:
            endpoint.listen(5000).close()
        assert folder.vsock.exists()
    assert not folder.path.exists()

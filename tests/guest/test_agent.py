"""The agent in a machine: one boot, one of its conversations after another."""

import hashlib
import os
import time

import pytest

from sampan.machine.agent import (
    AgentError,
    AgentLostError,
    AgentTimeoutError,
    Command,
    Window,
)
from sampan.machine.view import readiness

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def machine(boot):
    with boot("agent", mem_mib=256, agent=True) as running:
        running.machine.wait_ready(readiness.agent(deadline_s=300))
        yield running.machine


def test_a_program_runs_in_the_root_of_the_system(machine):
    result = machine.exec(["cat", "/proc/1/comm", "/proc/self/mounts"], check=True, timeout_s=300)
    assert result.text.startswith("init\n")
    assert " /containers/services/box/" not in machine.exec(["pwd"], cwd="/var").text
    assert machine.exec(["sh", "-c", "exit 3"]).code == 3
    assert machine.exec(["service", "list"], check=True).text.count("running") == 3


def test_input_output_and_errors(machine):
    result = machine.exec(["sh", "-c", "cat; echo bad >&2"], input=b"given", env={"A": "b"})
    assert (result.stdout, result.stderr) == (b"given", b"bad\n")


def test_a_program_in_a_container(machine):
    machine.exec(["sh", "-c", "echo mine > /tmp/own"], container="box", check=True)
    assert machine.exec(["cat", "/tmp/own"], container="box").text == "mine"
    assert machine.exec(["cat", "/tmp/own"]).code != 0
    with pytest.raises(AgentError, match="no service none runs"):
        machine.exec(["true"], container="none", check=True)


def test_a_terminal(machine):
    async def shown(vm_agent, container):
        command = Command(
            argv=("sh", "-c", "tty && stty size"), terminal=Window(31, 97), container=container
        )
        async with vm_agent.start(command) as program:
            text = b""
            while (piece := await program.read()) is not None:
                text += piece[1]
            return text, await program.wait()

    for container in ("", "box"):
        text, code = machine._loop.run(shown(machine._vm.agent, container))
        assert (b"/dev/" in text, b"31 97" in text, code) == (True, True, 0), text


def test_much_output_comes_whole(machine):
    expected = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
    result = machine.exec(["seq", "200000"], timeout_s=300)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(expected).digest()


def test_endless_output_is_ended(machine):
    with pytest.raises(AgentError, match="said more than 1000000 bytes"):
        machine.exec(["cat", "/dev/zero"], limit_bytes=1_000_000)
    with pytest.raises(AgentTimeoutError):
        machine.exec(["sleep", "1000"], timeout_s=0.2)
    assert machine.exec(["true"]).code == 0


def test_files_go_there_and_back(machine, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    data = os.urandom(3_000_000)
    (folder / "data").write_bytes(data)
    (folder / "data").chmod(0o4750)
    (folder / "link").symlink_to("data")
    machine.copy_to(folder, "/var/there")
    said = machine.exec(["sha256sum", "/var/there/data"], check=True).text
    assert said.split()[0] == hashlib.sha256(data).hexdigest()
    assert machine.exec(["stat", "-c", "%a %u", "/var/there/data"]).text == "4750 0"
    machine.copy_from("/var/there", tmp_path / "back")
    assert (tmp_path / "back" / "data").read_bytes() == data
    assert str((tmp_path / "back" / "link").readlink()) == "data"


def test_files_of_a_container(machine, tmp_path):
    (tmp_path / "file").write_text("for the box")
    machine.copy_to(tmp_path / "file", "/tmp", container="box")
    assert machine.exec(["cat", "/tmp/file"], container="box").text == "for the box"
    machine.copy_from("/tmp/file", tmp_path / "back", container="box")
    assert (tmp_path / "back").read_text() == "for the box"
    with pytest.raises(AgentError, match="no service none runs"):
        machine.copy_from("/tmp/file", tmp_path / "back", container="none")


def test_a_copy_that_does_not_fit(machine, tmp_path):
    (tmp_path / "large").write_bytes(bytes(40 << 20))
    with pytest.raises(AgentError, match="No space left"):
        machine.copy_to(tmp_path / "large", "/run/large")
    assert machine.exec(["ls", "/run"]).text.count("large") == 0


def test_the_clock_is_stepped(machine):
    machine.agent.set_clock(time.time() + 5000)
    late = int(machine.exec(["date", "+%s"]).text) - time.time()
    assert 4900 < late < 5100
    assert -5100 < machine.agent.set_clock(time.time()) < -4900


def test_ports(machine):
    """A service that has started may not listen yet."""
    deadline = time.monotonic() + 300
    while 8080 not in {each.port for each in machine.agent.ports()}:
        assert time.monotonic() < deadline


def test_a_restarted_agent_is_found_again(machine):
    """By a way that does not lead through it."""
    machine.console.send_line("")
    machine.console.expect("(ns: getty)", timeout_s=300)
    machine.console.send_line("service restart agent; echo RESTART''ED")
    machine.console.expect("RESTARTED", timeout_s=300)
    machine.agent.ready(deadline_s=300)
    assert machine.exec(["echo", "again"], timeout_s=300).text == "again"


def test_a_new_session_ends_what_the_old_one_began(machine):
    machine.agent.resync()
    assert machine.exec(["echo", "there"], timeout_s=300).text == "there"


def test_a_conversation_that_a_snapshot_holds_half_of(machine, tmp_path):
    """It ends, on both sides; the next one begins by itself, in another process of QEMU."""
    machine.exec(["sh", "-c", "echo before > /tmp/state"], check=True)

    async def interrupted(vm):
        command = Command(argv=("sh", "-c", "echo $$; while cat > /dev/null; do :; done"))
        async with vm.agent.start(command) as program:
            pid = int((await program.read())[1])
            assert await program.write(bytes(300_000))
            await vm.snapshot(tmp_path / "saved")
            assert await program.write(bytes(300_000))
            await vm.exec(["sh", "-c", "echo after > /tmp/state"], check=True)
            await vm.restore(tmp_path / "saved")
            with pytest.raises(AgentLostError):
                await program.read()
        return pid

    pid = machine._loop.run(interrupted(machine._vm))
    assert machine.exec(["cat", "/tmp/state"], timeout_s=300).text == "before"
    gone = f"while kill -0 {pid} 2>/dev/null; do sleep 0.1; done"
    machine.exec(["sh", "-c", gone], check=True, timeout_s=300)
    assert abs(int(machine.exec(["date", "+%s"]).text) - time.time()) < 100

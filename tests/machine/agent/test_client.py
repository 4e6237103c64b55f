"""The client with the guest's own program: programs, copies, and what breaks in between."""

import asyncio
import hashlib
import os
import signal
import time

import pytest

from sampan.base.agent.change import Change
from sampan.machine.agent import (
    AgentError,
    AgentLostError,
    AgentTimeoutError,
    Command,
    ExecError,
    NoAgentError,
    Window,
)


def run(agent, work, **options):
    async def main():
        async with agent(**options) as there:
            return await work(there)

    return asyncio.run(main())


def test_a_program_and_all_it_said(agent):
    argv = ["sh", "-c", "cat; echo $WHAT; echo oops >&2; pwd; exit 3"]
    result = run(
        agent, lambda there: there.exec(argv, env={"WHAT": "this"}, cwd="/tmp", input=b"given\n")
    )
    assert (result.stdout, result.stderr, result.code) == (b"given\nthis\n/tmp\n", b"oops\n", 3)
    assert result.text == "given\nthis\n/tmp"
    assert result.duration_s > 0


def test_a_program_that_had_to_succeed(agent):
    with pytest.raises(ExecError, match="sh ended with status 7 in the machine: because") as caught:
        run(agent, lambda there: there.exec(["sh", "-c", "echo because >&2; exit 7"], check=True))
    assert caught.value.result.code == 7


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["no-such-program"], 127), (["/etc/passwd"], 126), (["sh", "-c", "kill -9 $$"], 137)],
)
def test_statuses_are_those_of_a_shell(agent, argv, code):
    assert run(agent, lambda there: there.exec(argv)).code == code


def test_a_program_that_takes_too_long_is_ended(agent, tmp_path):
    pid_file = tmp_path / "pid"
    pid_file.touch()

    async def work(there):
        await there.ready()
        for time_s in (0.5, 5, 50):  # until it has begun within that
            with pytest.raises(AgentTimeoutError, match=rf"took longer than {time_s} s"):
                await there.exec(["sh", "-c", f"echo $$ > {pid_file}; sleep 600"], timeout_s=time_s)
            if pid_file.read_text():
                break
        pid = int(pid_file.read_text())
        await there.exec(["sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.05; done"])

    run(agent, work)


def test_endless_output_ends_the_program_not_us(agent):
    async def work(there):
        with pytest.raises(AgentError, match="said more than 300000 bytes"):
            await there.exec(["cat", "/dev/zero"], limit_bytes=300_000)
        return await there.exec(["echo", "still there"])

    assert run(agent, work).text == "still there"


def test_who_does_not_read_slows_only_his_own_program_down(agent):
    async def work(there):
        async with there.start(Command(argv=("cat", "/dev/zero"))) as endless:
            assert await endless.read() is not None
            return await there.exec(["echo", "others go on"])

    assert run(agent, work).text == "others go on"


def test_much_goes_through_whole(agent):
    data = os.urandom(3_000_000)
    result = run(agent, lambda there: there.exec(["cat"], input=data))
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_input_that_nobody_reads_is_dropped(agent):
    assert run(agent, lambda there: there.exec(["true"], input=bytes(2_000_000))).code == 0


def test_many_at_once(agent):
    async def work(there):
        return await asyncio.gather(*(there.exec(["echo", str(n)]) for n in range(30)))

    assert [result.text for result in run(agent, work)] == [str(n) for n in range(30)]


def test_a_terminal(agent):
    command = Command(
        argv=(
            "sh",
            "-c",
            "trap 'stty size; exit 5' WINCH; tty; stty size; while :; do sleep 0.1; done",
        ),
        terminal=Window(30, 99),
    )

    async def work(there):
        async with there.start(command) as program:
            shown = b""
            while b"30 99\r\n" not in shown:
                shown += (await program.read())[1]
            program.resize(Window(31, 100))
            while b"31 100\r\n" not in shown:
                shown += (await program.read())[1]
            return shown, await program.wait()

    shown, code = run(agent, work)
    assert b"/dev/pts/" in shown
    assert code == 5


def test_typing_on_a_terminal(agent):
    async def work(there):
        async with there.start(Command(argv=("cat",), terminal=Window())) as program:
            assert await program.write(b"hello\n")
            shown = b""
            while shown.count(b"hello") < 2:  # its echo, and what cat says
                shown += (await program.read())[1]
            program.end_input()
            return await program.wait()

    assert run(agent, work) == 0


def test_signals(agent):
    async def work(there):
        async with there.start(Command(argv=("sleep", "600"))) as program:
            program.signal(signal.SIGTERM)
            return await program.wait()

    assert run(agent, work) == 128 + signal.SIGTERM


def test_copies_both_ways(agent, tmp_path):
    source = tmp_path / "source"
    (source / "below" / "empty").mkdir(parents=True)
    data = os.urandom(700_000)
    (source / "data").write_bytes(data)
    (source / "below" / "run").write_text("#!/bin/sh\n")
    (source / "below" / "run").chmod(0o751)
    (source / "link").symlink_to("/etc/passwd")
    os.utime(source / "data", ns=(1, 1_234_567_890_123_456_789))

    async def work(there):
        await there.copy_to(source, f"{tmp_path}/there")
        await there.copy_from(f"{tmp_path}/there", tmp_path / "back")

    run(agent, work)
    back = tmp_path / "back"
    assert (back / "data").read_bytes() == data
    assert (back / "data").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (back / "below" / "run").stat().st_mode & 0o7777 == 0o751
    assert (back / "below" / "empty").is_dir()
    assert (back / "link").readlink().as_posix() == "/etc/passwd"


def test_copies_into_a_folder(agent, tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()

    async def work(there):
        await there.copy_to(tmp_path / "file", f"{tmp_path}/folder")
        await there.copy_from(f"{tmp_path}/folder/file", f"{tmp_path}/folder/again")

    run(agent, work)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["again", "file"]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda there, p: there.copy_to(p / "none", "/tmp/x"), r"cannot copy .*none: No such file"),
        (lambda there, p: there.copy_to(p, f"{p}/no/where"), r"in the machine: .*No such file"),
        (lambda there, p: there.copy_from(f"{p}/none", p), r"in the machine: .*No such file"),
        (lambda there, p: there.copy_from("/dev/null", p), "neither a file nor a folder"),
        (lambda there, p: there.copy_from("/", p), "has no name"),
        (lambda there, p: there.copy_from(str(p), p / "no" / "where"), "cannot copy to .*No such"),
        (lambda there, p: there.copy_from("/bin/sh", p, limit_bytes=10), "more than 10 bytes"),
    ],
)
def test_copies_that_fail_say_why(agent, tmp_path, act, message):
    with pytest.raises(AgentError, match=message):
        run(agent, lambda there: act(there, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_clock_and_the_ports(agent):
    async def work(there):
        return await there.set_clock(time.time() + 100), await there.ports()

    stepped_s, ports = run(agent, work)
    assert 90 < stepped_s < 110
    assert all(0 < each.port < 65536 for each in ports)


def test_changes_are_told_only_where_a_server_plays_along(agent, tmp_path):
    changes = [Change("mkdir", "a"), Change("rename", "b", "c")]
    with pytest.raises(AgentError, match=r"in the machine: .* lets changes be told"):
        run(agent, lambda there: there.replay(str(tmp_path), "token", changes))
    assert list(tmp_path.iterdir()) == []


def test_what_the_agent_does_not_know(agent):
    with pytest.raises(AgentError, match="refused: this agent has no method 'dance'"):
        run(agent, lambda there: there.call("dance", {}))


def test_no_agent(agent):
    with pytest.raises(
        NoAgentError, match=r"no agent answers in the machine after 0\.2 s"
    ) as caught:
        run(agent, lambda there: there.exec(["true"]), started=False, patience_s=0.2)
    assert "sampan/agent" in caught.value.hint


def test_no_agent_within_the_time_of_a_program(agent):
    with pytest.raises(NoAgentError, match=r"after 0\.1 s"):
        run(agent, lambda there: there.exec(["true"], timeout_s=0.1), started=False)


def test_an_agent_that_comes_late(agent, guest):
    async def work(there):
        waiting = asyncio.gather(there.exec(["echo", "at last"]))
        await asyncio.sleep(0)
        guest.start()
        return (await waiting)[0].text

    assert run(agent, work, started=False) == "at last"


def test_an_agent_that_is_started_anew(agent, guest):
    async def work(there):
        async with there.start(Command(argv=("cat",))) as program:
            await program.write(b"x")
            assert await program.read() == (1, b"x")
            guest.kill()
            guest.start()
            with pytest.raises(AgentLostError, match="broke off"):
                await program.read()
        return await there.exec(["echo", "again"])

    assert run(agent, work).text == "again"


def test_a_machine_that_was_restored(agent, tmp_path):
    """The session begins anew; what the one before had begun is ended."""

    async def work(there):
        async with there.start(Command(argv=("sh", "-c", "echo $$; exec sleep 600"))) as program:
            pid = int((await program.read())[1])
            there.resync()
            with pytest.raises(AgentLostError, match="put into another state"):
                await program.read()
        await there.exec(["sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.05; done"])

    run(agent, work)


def test_half_a_frame_of_another_life(agent, guest):
    """What is left in the port from before makes no sense to the agent, and it says so."""

    async def work(there):
        await there.ready()
        link = there.link
        async with there.start(Command(argv=("cat",))) as program:
            link._plugs[-1].transport.write(b"\x10\x00\x00\x00\x01")
            await program.write(b"lost" * 20)
            with pytest.raises(AgentLostError):
                await program.read()
        return await there.exec(["echo", "found"])

    assert run(agent, work).text == "found"


def test_a_machine_that_ends(agent, guest):
    async def work(there):
        async with there.start(Command(argv=("cat",))) as program:
            await program.write(b"x")
            await program.read()
            guest.kill()
            guest.theirs.close()
            with pytest.raises(AgentLostError, match="the machine has ended"):
                await program.read()
        with pytest.raises(NoAgentError, match="the machine has ended"):
            await there.exec(["true"])

    run(agent, work)

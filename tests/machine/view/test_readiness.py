import asyncio
import re
import socket

import pytest

from sampan import machine
from sampan.errors import UsageError
from sampan.machine.console import Console
from sampan.machine.error import MachineError
from sampan.machine.testing import (
    Await,
    FakeDriver,
    Finish,
    Notice,
    Reset,
    Say,
    Script,
    spec,
)
from sampan.machine.view import probe, readiness
from sampan.machine.view.event import AgentUp, PowerButtonPressed
from sampan.machine.view.journal import Journal
from sampan.machine.view.readiness import (
    NotReadyError,
    all_of,
    answers,
    any_of,
    console,
    happened,
    http,
    in_order,
    stage,
)
from sampan.machine.vsock import VsockRefusedError

NEVER = console("never", deadline_s=0.02)


def wait(condition, runtime_root, *steps):
    """Act out `steps` and wait for `condition`; gives the machine's transcript afterwards."""
    driver = FakeDriver(Script(steps=steps))
    options = machine.LaunchOptions(driver=driver, runtime_root=runtime_root)

    async def run():
        async with machine.VM.launch(spec(), options) as vm:
            await vm.wait_ready(condition)
            return str(vm.console.transcript)

    return asyncio.run(run())


def failure(condition, runtime_root, *steps):
    with pytest.raises(NotReadyError) as caught:
        wait(condition, runtime_root, *steps)
    return caught.value


def test_the_console_shows_something(runtime_root):
    assert "login" in wait(console("login:"), runtime_root, Say("a"), Say("login:"))
    assert wait(console(re.compile(r"up in (\d+)")), runtime_root, Say("up in 5"))


def test_what_was_shown_before_counts_and_is_not_taken_away(runtime_root):
    options = machine.LaunchOptions(
        driver=FakeDriver(Script(steps=(Say("login:"), Await("x"), Say("bye")))),
        runtime_root=runtime_root,
        ready=console("login:"),
    )

    async def run():
        async with machine.VM.launch(spec(), options) as vm:
            await vm.wait_ready(console("login:"))
            return (await vm.console.expect("login:", timeout_s=60)).text

    assert asyncio.run(run()) == "login:"


def test_the_error_names_the_stage_and_shows_the_console(runtime_root):
    condition = in_order(console("kernel"), console("login:", deadline_s=0.02))
    error = failure(condition, runtime_root, Say("kernel"), Say("init: stuck"))
    assert error.stage == "the console shows 'login:'"
    assert error.waited_s == 0.02
    assert error.end is None
    assert "after 0.0 s the machine was not ready: the console shows 'login:'" in str(error)
    assert "init: stuck" in str(error)


def test_a_machine_that_ends_ends_the_waiting(runtime_root):
    error = failure(console("login:"), runtime_root, Say("bye"), Finish())
    assert error.end == machine.End(ending=machine.Ending.POWERED_OFF)
    assert "of waiting for the console shows 'login:': it was powered-off" in str(error)


def test_a_panic_is_the_cause(runtime_root):
    steps = (Say("Kernel panic - not syncing: no init"), Reset())
    error = failure(NEVER, runtime_root, *steps)
    assert error.end.ending is machine.Ending.PANICKED
    assert "the guest's kernel panicked: no init" in str(error)


def test_a_silent_machine_is_said_to_be_silent(runtime_root):
    assert "its console has shown nothing" in str(failure(NEVER, runtime_root))


def test_events_are_waited_for(runtime_root):
    notice = Notice("VSERPORT_CHANGE", {"open": True})
    wait(happened(AgentUp), runtime_root, Say("x"), notice)
    error = failure(happened(PowerButtonPressed, deadline_s=0.02), runtime_root, notice)
    assert error.stage == "event PowerButtonPressed"


def test_all_of_them(runtime_root):
    wait(all_of(console("b"), console("a"), all_of()), runtime_root, Say("a"), Say("b"))
    error = failure(all_of(console("a"), NEVER), runtime_root, Say("a"))
    assert error.stage == NEVER.name


def test_any_of_them(runtime_root):
    wait(any_of(NEVER, console("a")), runtime_root, Say("a"))
    both = any_of(NEVER, console("nor this", deadline_s=0.01))
    error = failure(both, runtime_root, Say("a"))
    assert sorted(error.stage.split(" or ")) == [
        "the console shows 'never'",
        "the console shows 'nor this'",
    ]
    assert failure(both, runtime_root, Finish()).end is not None


def test_a_condition_of_ones_own(runtime_root):
    async def reached(vm):
        await vm.console.expect("x", timeout_s=60)

    wait(stage("x was there", reached), runtime_root, Say("x"))


def test_a_condition_that_breaks_is_not_taken_for_one_that_fails(runtime_root):
    async def broken(vm):
        raise ZeroDivisionError

    for condition in (stage("x", broken), all_of(stage("x", broken)), any_of(stage("x", broken))):
        with pytest.raises(ZeroDivisionError):
            wait(condition, runtime_root)


def test_a_machine_that_is_not_ready_is_not_launched(runtime_root):
    driver = FakeDriver()
    options = machine.LaunchOptions(driver=driver, runtime_root=runtime_root, ready=NEVER)
    with pytest.raises(NotReadyError), machine.launch(spec(), options):
        pytest.fail("it is not ready")


def test_a_port_that_is_not_published_cannot_be_asked(runtime_root):
    with pytest.raises(MachineError, match="port 80 of the guest is not published") as caught:
        wait(answers(80), runtime_root)
    assert "guest_port=80" in (caught.value.hint or "")


@pytest.mark.parametrize("condition", [answers(80, send=b"GET\n"), http(80, "/x")])
def test_a_published_port_answers(runtime_root, condition):
    async def run():
        async with await asyncio.start_server(_serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            options = machine.LaunchOptions(driver=FakeDriver(), runtime_root=runtime_root)
            async with machine.VM.launch(spec(), options) as vm:
                # the driver listens nowhere: the server of this test stands in its place
                vm.forwards = (machine.Forward(host_port=port, guest_port=80, bind="0.0.0.0"),)
                await readiness.wait(condition, vm)

    asyncio.run(run())


async def _serve(reader, writer):
    await reader.readline()
    writer.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
    writer.close()


def test_without_asyncio(runtime_root):
    driver = FakeDriver(Script(steps=(Say("login:"),)))
    options = machine.LaunchOptions(driver=driver, runtime_root=runtime_root)
    with machine.launch(spec(), options) as vm:
        vm.wait_ready(console("login:"))


def test_an_agent_that_does_not_answer(runtime_root):
    """Every machine of the fake driver has the channel, and nobody at its other end."""
    options = machine.LaunchOptions(driver=FakeDriver(Script()), runtime_root=runtime_root)

    async def run():
        async with machine.VM.launch(spec(agent=True), options) as vm:
            await vm.wait_ready(readiness.agent(deadline_s=0.02))

    with pytest.raises(NotReadyError, match="the agent in the guest answers"):
        asyncio.run(run())


class Guest:
    """A guest whose vsock refuses two connections."""

    def __init__(self):
        self.console = Console()
        self.journal = Journal("web")
        self.vsock = self
        self.refusals = 2

    def events(self, *, since=0):
        return self.journal.follow(since)

    async def connect(self, port):
        assert port == 1234
        if self.refusals:
            self.refusals -= 1
            raise VsockRefusedError("nobody listens")
        return socket.socket()


def test_somebody_listens_on_vsock(monkeypatch):
    monkeypatch.setattr(probe, "PAUSE_S", 0)

    async def run():
        guest = Guest()
        await readiness.wait(readiness.vsock(1234), guest)  # type: ignore[arg-type]
        return guest.refusals

    assert asyncio.run(run()) == 0


def test_a_machine_without_vsock(runtime_root):
    with pytest.raises(UsageError, match="no vsock"):
        wait(readiness.vsock(1234), runtime_root)

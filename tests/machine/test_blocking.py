import re
import subprocess
import sys
import threading

import pytest

from sampan import machine
from sampan.machine import Ending, Forward
from sampan.machine.agent import NoAgentError
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError


def test_whole_life(scripted, options):
    spec = scripted("say login 7:", "await root\r", "say in", "button", "say off", "poweroff")
    with machine.launch(spec, options) as vm:
        match = vm.console.expect(re.compile(r"login (\d+):"), timeout_s=60)
        assert match.groups == ("7",)
        vm.console.send_line("root")
        vm.console.expect("in", timeout_s=60)
        assert vm.power_off(deadline_s=60).ending is Ending.POWERED_OFF
        assert vm.console.transcript == "login 7:\nin\noff\n"
        assert vm.wait() == vm.kill()


def test_errors_of_the_launch_reach_the_caller(scripted, options):
    with (
        pytest.raises(MachineError, match="did not start"),
        machine.launch(scripted("silent"), options),
    ):
        pytest.fail("it started")


def test_errors_in_the_block_pass_and_the_machine_is_gone(scripted, options):
    launched = machine.launch(scripted("say something else", "hang"), options)
    with pytest.raises(MachineTimeoutError, match="has not shown 'never'"), launched as vm:
        vm.console.expect("never", timeout_s=0.05)
    assert [path.name for path in options.runtime_root.iterdir()] == ["lock"]


def test_timeout_shows_the_last_lines(scripted, options):
    with machine.launch(scripted("say the last line", "hang"), options) as vm:
        vm.console.expect("line", timeout_s=60)
        with pytest.raises(MachineTimeoutError, match="    the last line"):
            vm.console.expect("more", timeout_s=0.05)


def test_properties(scripted, options):
    with machine.launch(scripted("hang", name="x"), options) as vm:
        assert vm.spec.name == "x"
        assert vm.verdict.accel == "tcg"
        assert vm.forwards == ()
        assert vm.execute("query-status") == {}
        assert vm.pid > 0
        vm.press_power_button()
        assert vm.kill().ending is Ending.FORCED


def test_ports_come_and_go(scripted, options):
    with machine.launch(scripted("hang"), options) as vm:
        added = vm.expose(Forward(host_port=0, guest_port=80))
        assert list(vm.forwards) == [added]
        assert vm.unexpose(added) == added
        assert list(vm.forwards) == []


def test_pausing_and_events(scripted, options):
    with machine.launch(scripted("button", "poweroff"), options) as vm:
        vm.pause()
        assert vm.state == "paused"
        vm.resume()
        first = next(vm.events())
        vm.power_off(deadline_s=60)
        *_, last = vm.events(since=first.seq)
    assert (first.seq, first.new) == (1, "running")
    assert last.end.clean


def test_the_agent_has_the_same_names(scripted, options):
    with machine.launch(scripted("hang", agent=True), options) as vm:
        with pytest.raises(NoAgentError):
            vm.agent.ready(deadline_s=0.01)
        vm.kill()
        for ask in (
            lambda: vm.exec(["true"], timeout_s=60),
            lambda: vm.copy_to("/etc/hosts", "/tmp"),
            lambda: vm.copy_from("/etc/hosts", "/tmp"),
        ):
            with pytest.raises(NoAgentError, match="the machine has ended"):
                ask()


def test_the_console_has_the_same_names(scripted, options):
    heard: list[bytes] = []
    spec = scripted("say one", "await go\r", "say two", "hang")
    with machine.Machine.launch(spec, options, prepare=lambda it: it.attach(heard.append)) as vm:
        assert vm.console.seen(re.compile("o(n)e")).groups == ("n",)
        more: list[bytes] = []
        vm.console.attach(more.append)
        vm.console.skip()
        vm.console.pause()
        vm.console.resume()
        vm.console.send("go\r")
        vm.console.expect("two", timeout_s=60)
        lived = vm.console.live
        vm.kill()
        vm.console.closed()
        assert (lived, vm.console.live) == (True, False)
    assert b"".join(heard).split() == [b"one", b"two"]
    assert b"".join(more).split() == [b"two"]


def test_the_hypervisor_can_be_heard_and_seen(scripted, options):
    heard: list[str] = []
    with machine.launch(scripted("button", "poweroff"), options) as vm:
        vm.listen(lambda notice: heard.append(notice.name))
        assert vm.argv[0].endswith("qemu-system-x86_64")
        assert vm.folder.path.is_dir()
        vm.power_off(deadline_s=60)
    assert "SHUTDOWN" in heard


def test_after_its_block_a_machine_has_ended(scripted, options):
    with machine.launch(scripted("hang"), options) as vm:
        pass
    with pytest.raises(MachineEndedError, match="with the block"):
        vm.pause()
    with pytest.raises(MachineEndedError, match="with the block"):
        vm.console.send_line("hello?")


INTERRUPTED = """
import asyncio, os, signal, sys
from pathlib import Path
from sampan import machine
from sampan.machine.testing import FakeDriver, Say, Script, Await, spec
from sampan.machine.view import readiness

async def never(guest):
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()

driver = FakeDriver(Script(steps=(Say("on"), Await("x"))))
ready = readiness.stage("never", never, deadline_s=600)
options = machine.LaunchOptions(driver=driver, ready=ready, runtime_root=Path(sys.argv[1]))
with machine.launch(spec(), options):
    print("it is ready")
"""


def test_ctrl_c_while_a_machine_becomes_ready(runtime_root):
    words = [sys.executable, "-c", INTERRUPTED, str(runtime_root)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.endswith("KeyboardInterrupt\n"), done.stderr
    assert done.stdout == ""


def test_ctrl_c_before_it_is_waited_for(scripted, options, monkeypatch):
    class Interrupted(threading.Thread):
        def start(self):
            super().start()
            if self.name.startswith("machine "):
                raise KeyboardInterrupt

    monkeypatch.setattr(threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        with machine.launch(scripted("hang"), options):
            raise AssertionError
    assert not any(each.name.startswith("machine ") for each in threading.enumerate())

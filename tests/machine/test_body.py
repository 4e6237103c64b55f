import asyncio

import pytest

from sampan.machine.body import LaunchOptions, live
from sampan.machine.console import Console
from sampan.machine.device import Vsock
from sampan.machine.driver import Capability
from sampan.machine.error import MachineError
from sampan.machine.forward import Forward
from sampan.machine.model import Ending
from sampan.machine.testing import FakeDriver, Finish, Reset, Say, Script, Sleep, spec
from sampan.machine.view.event import State


def lived(wanted, driver, runtime_root, use=None, prepare=None):
    """What `use` makes of the body while it lives, and the body once it is over."""

    async def run():
        options = LaunchOptions(driver=driver, runtime_root=runtime_root)
        async with live(wanted, options, prepare, None) as body:
            value = None if use is None else await use(body)
        return value, body

    return asyncio.run(run())


def test_it_runs_within_the_block_and_is_gone_after_it(runtime_root):
    async def use(body):
        return body.journal.state, body.launch.folder.path.is_dir()

    value, body = lived(spec(name="web"), FakeDriver(), runtime_root, use)
    assert value == (State.RUNNING, True)
    assert body.journal.state is State.ENDED
    assert not body.launch.folder.path.exists()


def test_what_it_was_given_has_the_ports_it_got(runtime_root):
    wanted = spec(publish=(Forward(host_port=0, guest_port=80),))
    _, body = lived(wanted, FakeDriver(), runtime_root)
    assert body.spec.publish == body.forwards
    assert body.forwards[0].host_port


def test_its_console_is_prepared_before_it_says_anything(runtime_root):
    heard: list[bytes] = []

    async def use(body):
        await body.seat.wait()

    driver = FakeDriver(Script(steps=(Say("first"), Finish())))
    prepare = lambda console: Console.attach(console, heard.append)  # noqa: E731
    lived(spec(), driver, runtime_root, use, prepare)
    assert b"".join(heard) == b"first\r\n"


def test_a_panic_that_its_console_shows_ends_it(runtime_root):
    async def use(body):
        return await body.seat.wait()

    steps = (Say("Kernel panic - not syncing: no init found"), Reset(), Sleep(600))
    driver = FakeDriver(Script(steps=steps, pace=1.0))
    end, _ = lived(spec(), driver, runtime_root, use)
    assert end.ending is Ending.PANICKED


@pytest.mark.parametrize("is_its_own", [True, False])
def test_vsock_is_made_here_unless_the_hypervisor_makes_it(runtime_root, is_its_own):
    can = frozenset(Capability)
    driver = FakeDriver(capabilities=can if is_its_own else can - {Capability.VSOCK_SOCKETS})
    _, body = lived(spec(vsock=Vsock()), driver, runtime_root)
    assert (body.vsock is None) == is_its_own


def test_one_that_does_not_start_leaves_nothing(runtime_root):
    driver = FakeDriver(Script(start_failure="no such machine"))
    with pytest.raises(MachineError, match="no such machine"):
        lived(spec(), driver, runtime_root)
    assert [each for each in runtime_root.iterdir() if each.is_dir()] == []

"""A program that lets machines crash at chosen points, and checks what is left and how it heals.

    crash_rounds.py FOLDER RUNTIME ROUNDS SEED

Each round a child process runs a machine with a name, from taking the name to its end. It counts
the calls it makes; at one that the seed chooses it kills itself, its hypervisor, or both, with
SIGKILL. Then, with nobody alive but perhaps that hypervisor, what the store says is compared with
what is there; and one command (two at once, every fifth round) has to heal it.

The hypervisor is a `sleep` with the far end of a pipe, by which it is known whether it is alive.
Prints one JSON object: how often what was seen.
"""

import asyncio
import collections
import json
import os
import random
import select
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from sampan.base import proc
from sampan.desktop.supervisor import Supervisor
from sampan.machine import VM, Accelerator, End, Ending, LaunchOptions, MachineSpec, state
from sampan.machine.driver import Capability
from sampan.machine.model import Verdict
from sampan.machine.registry.record import Status
from sampan.machine.registry.store import NoSuchMachineError, Store, Wish

NAME = "web"
NULL = os.open(os.devnull, os.O_RDWR)
WHO = ("sampan", "hypervisor", "both")
HEALING = ("heal", "remove", "run", "force")


class Sleep:
    """A hypervisor that does nothing."""

    argv = ("sleep", "300")  # not for ever, should this program be killed

    def __init__(self, process):
        self.process = process
        self.pid = process.pid
        self.forced = False
        self.exit = asyncio.get_running_loop().run_in_executor(None, process.wait)

    def listen(self, listener):
        pass

    async def run(self):
        pass

    pause = power_button = run

    async def forwards(self, wanted):
        return ()

    async def execute(self, command, arguments=None):
        return None

    def panicked(self, detail):
        pass

    async def kill(self):
        if not self.exit.done():
            self.forced = True
            self.process.kill()
        return await self.wait()

    async def wait(self):
        await asyncio.shield(self.exit)
        return End(ending=Ending.FORCED if self.forced else Ending.DIED)


class SleepDriver:
    name = "sleep"
    capabilities = frozenset[Capability]()

    def __init__(self, alive, crash):
        self.alive = alive
        self.crash = crash

    def verdict(self, spec, root):
        return Verdict(Accelerator.TCG)

    async def start(self, spec, launch):
        process = proc.start(
            Sleep.argv, stdout=NULL, stderr=NULL, new_session=True, env=launch.folder.mark,
            pass_fds=(self.alive,),
        )  # fmt: skip
        self.crash.hypervisor, self.crash.started_at = process.pid, self.crash.calls
        launch.folder.record(process.pid)
        launch.console.connection_lost(None)
        return Sleep(process)


class Crash:
    """Counts calls, and does what it is for at number `at`."""

    def __init__(self, who, at):
        self.who = who
        self.at = at
        self.calls = 0
        self.hypervisor = 0
        self.started_at = 0

    def profile(self, frame, event, argument):
        if not event.endswith("call"):
            return
        self.calls += 1
        if self.calls == self.at:
            if self.hypervisor and self.who != "sampan":
                with suppress(ProcessLookupError):
                    os.kill(self.hypervisor, signal.SIGKILL)
            if self.who != "hypervisor":
                os.kill(os.getpid(), signal.SIGKILL)


async def live(claim, spec, runtime, driver):
    supervisor = Supervisor(claim)
    keeper: Any = None
    options = LaunchOptions(driver=driver, runtime_root=runtime)
    async with VM.launch(spec, options, prepare=supervisor.prepare) as vm:
        async with supervisor.supervising(vm, keeper, ports=(), network=""):
            await vm.pause()
            await vm.resume()
            end = await vm.kill()
    supervisor.ended(end)


def run(store, spec, runtime, alive, crash):
    """One life of a machine, in a process of its own."""
    with store.claim(spec, Wish(name=NAME, runtime_root=runtime)) as claim:
        asyncio.run(live(claim, replace(spec, name=claim.name), runtime, SleepDriver(alive, crash)))


def forked(work):
    """Run `work` in a child; its process number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001  it is this process's own
        traceback.print_exc()
    finally:
        os._exit(status)


class Rounds:
    def __init__(self, folder, runtime, seed):
        self.store = Store(folder / "machines", version="1")
        self.runtime = runtime
        self.random = random.Random(seed)
        self.spec = MachineSpec(kernel=folder / "kernel")
        self.spec.kernel.touch()
        self.seen: collections.Counter[str] = collections.Counter()

    def life(self, who, at):
        """A life with a crash; the pipe that its hypervisor holds, and, if it did not crash, the numbers of
        the calls that started the hypervisor and that were the last.
        """
        reader, writer = os.pipe()
        told, telling = os.pipe()

        def work():
            os.close(reader)
            crash = Crash(who, at)
            sys.setprofile(crash.profile)
            try:
                run(self.store, self.spec, self.runtime, writer, crash)
            finally:
                sys.setprofile(None)
                os.write(telling, b"%d %d" % (crash.started_at, crash.calls))

        child = forked(work)
        os.close(writer)
        os.close(telling)
        os.waitpid(child, 0)
        with os.fdopen(told) as stream:
            return reader, tuple(map(int, stream.read().split()))

    def known(self):
        try:
            return self.store.record(NAME)
        except NoSuchMachineError:
            return None

    def round(self, who, at, number):
        reader, _ = self.life(who, at)
        left = not select.select([reader], [], [], 0)[0]
        record = self.known()
        if left:
            self.seen["hypervisor left"] += 1
            assert record is not None, "a hypervisor that nobody knows of"
            assert record.status is Status.CRASHED, record
        if record is None:
            self.seen["unknown"] += 1
        else:
            self.seen[record.status] += 1
            assert record.status in (Status.CRASHED, Status.STOPPED), record
            is_told = "is still there" in record.detail
            assert not is_told or left, "it says that there is a hypervisor, and there is none"
            stays = left and not select.select([reader], [], [], 0)[0]  # it may have been dying
            if stays and record.run.hypervisor is not None:
                assert is_told, record.detail
        healing = self.random.choice(HEALING)
        children = [forked(lambda: self.heal(healing)) for _ in range(2 if number % 5 == 0 else 1)]
        for child in children:
            assert os.waitpid(child, 0)[1] == 0, f"{healing} failed"
        assert select.select([reader], [], [], 5)[0], f"{healing} left the hypervisor"
        os.close(reader)
        self.check_healed()

    def heal(self, healing):
        """What the next command does."""
        try:
            if healing == "heal":
                self.store.heal(NAME)
            elif healing == "remove":
                self.store.remove(NAME)
            elif healing == "force":
                self.store.end_by_force(NAME)
            else:
                wish = Wish(name=NAME, runtime_root=self.runtime)
                with self.store.claim(self.spec, wish) as claim:
                    claim.ended(End(ending=Ending.FORCED))
                    with state.machine_folder(self.runtime):
                        pass
        except NoSuchMachineError:
            pass  # it never came to be, or the other one was faster

    def check_healed(self):
        record = self.known()
        assert record is None or "is still there" not in record.detail, record
        assert record is None or record.run is None or record.run.ended is not None, record
        if record is not None:
            with self.store.claim(
                self.spec, Wish(name=NAME, exact=True, runtime_root=self.runtime)
            ) as claim:
                claim.ended(End(ending=Ending.FORCED))
        for name in self.store.names():
            self.store.remove(name)
        rest = [each.name for each in self.store.root.iterdir()]
        assert set(rest) <= {".lock", NAME}, rest  # a folder that was just made, at most
        state.heal(self.runtime)
        assert [each.name for each in self.runtime.glob("vm-*")] == []


def main():
    os.fsync = lambda fd: None  # for the speed: a kill loses nothing that was written
    folder, runtime = map(Path, sys.argv[1:3])
    rounds = Rounds(folder, runtime, int(sys.argv[4]))
    reader, (start, calls) = rounds.life("nobody", 0)
    os.close(reader)
    assert 0 < start < calls, "the machine did not live"
    rounds.check_healed()
    for number in range(int(sys.argv[3])):
        # every other crash while there is a hypervisor, or is about to be
        who, first = rounds.random.choice(WHO), start - 50 if number % 2 else 1
        at = rounds.random.randrange(first, calls)
        try:
            rounds.round(who, at, number)
        except BaseException:
            sys.stderr.write(f"round {number}: {who} at call {at} of {calls}\n")
            raise
    sys.stdout.write(json.dumps(rounds.seen))


main()

"""A program that is killed while it saves machines or puts them back, and checks what is left.

    kill_rounds.py FOLDER RUNTIME ROUNDS SEED

Each round a child process runs a machine that is acted out, whose memory (what was typed) and disk
tell its generation. It snapshots it over an older snapshot, suspends it over an older state, or
restores it, and kills itself with SIGKILL at a call that the seed chooses. Then what is saved has
to be whole, memory and disk of one generation; and the next one has to leave nothing else behind.

Prints one JSON object: how often what was seen.
"""

import asyncio
import collections
import json
import os
import random
import signal
import sys
import threading
import traceback
from pathlib import Path

from sampan.machine import VM, Disk, LaunchOptions, MachineSpec
from sampan.machine.drivers.fake import FakeDriver
from sampan.machine.saving import content, suspension

OPERATIONS = ("snapshot", "suspend", "restore")
PIECE = bytes(64 << 10)


class Death:
    """Counts calls, in all threads, and ends this process at number `at`."""

    def __init__(self, at):
        self.at = at
        self.calls = 0

    def begin(self):
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def end(self):
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, frame, event, argument):
        if event.endswith("call"):
            self.calls += 1
            if self.calls == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


class Rounds:
    def __init__(self, folder, runtime, seed):
        self.options = LaunchOptions(driver=FakeDriver(), runtime_root=runtime)
        self.saved = folder / "saved"
        self.disk = folder / "disk"
        self.spec = MachineSpec(kernel=folder / "kernel", disks=(Disk(path=self.disk),))
        self.spec.kernel.touch()
        self.disk.touch()
        self.random = random.Random(seed)
        self.seen: collections.Counter[str] = collections.Counter()

    def write_disk(self, generation):
        self.disk.write_bytes(generation.encode() + PIECE + generation.encode())

    def disk_is(self, path, generation):
        return path.read_bytes() == generation.encode() + PIECE + generation.encode()

    async def live(self, operation, generation, death):
        async with VM.launch(self.spec, self.options) as vm:
            vm.console.send(generation)
            self.write_disk(generation)
            death.begin()
            await getattr(vm, operation)(self.saved)
            death.end()

    def child(self, operation, generation, at=0):
        """Do `operation` in a child; how many calls it made, nothing if it was killed."""
        told, telling = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                death = Death(at)
                asyncio.run(self.live(operation, generation, death))
                os.write(telling, str(death.calls).encode())
                status = 0
            except BaseException:  # noqa: BLE001  it is this process's own
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(telling)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), f"{operation} ended with {status}"
        with os.fdopen(told) as stream:
            return stream.read()

    def generation(self):
        """That of what is saved, which is whole."""
        found = suspension.read(self.saved)
        asyncio.run(suspension.verify(self.saved, found))
        generation = json.loads((self.saved / found.memory.name).read_bytes())["typed"]
        (state,) = found.disks
        if state.copy:
            copy = self.saved / state.copy
            assert self.disk_is(copy, generation), "memory and disk do not belong together"
            content.copy(copy, self.saved.parent / "other", expected=state.sha256)
        return generation

    def round(self, operation, number, calls):
        # when there is an older one already it has to stay until the new one is whole
        self.child("suspend" if operation == "suspend" else "snapshot", "older")
        at = self.random.randrange(1, calls)
        newer = f"newer {number}"
        was_killed = not self.child(operation, newer, at)
        self.seen["killed" if was_killed else "not killed"] += 1
        found = self.generation()
        assert found == "older" or (found == newer and operation != "restore"), found
        self.seen[f"{operation}: {'older' if found == 'older' else 'newer'}"] += 1
        if operation == "restore":
            generations = [each for each in ("older", newer) if self.disk_is(self.disk, each)]
            assert generations, "the disk is neither as it was nor as it shall be"
            self.seen[f"restore: disk {'older' if generations == ['older'] else 'newer'}"] += 1
        self.child("snapshot", "last")
        assert self.generation() == "last"
        expected = {suspension.DOCUMENT, *suspension.read(self.saved).files}
        assert {each.name for each in self.saved.iterdir()} == expected, "something is left behind"


def main():
    os.fsync = lambda fd: None  # for the speed: a kill loses nothing that was written
    folder, runtime = map(Path, sys.argv[1:3])
    rounds = Rounds(folder, runtime, int(sys.argv[4]))
    rounds.child("snapshot", "first")
    rounds.generation()  # what is imported only when it is needed is, here and in children
    calls = {each: int(rounds.child(each, "first")) for each in ("snapshot", "restore", "suspend")}
    for number in range(int(sys.argv[3])):
        operation = OPERATIONS[number % len(OPERATIONS)]
        try:
            rounds.round(operation, number, calls[operation])
        except BaseException:
            sys.stderr.write(f"round {number}: {operation} of {calls[operation]} calls\n")
            raise
    sys.stdout.write(json.dumps(rounds.seen))


main()

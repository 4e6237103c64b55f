"""Migrations as a scripted process tells them; real ones are in ../test_mover.py."""

import asyncio
import io
import socket

import pytest

from sampan.base.progress import Silent
from sampan.machine.control import CommandError
from sampan.machine.drivers import qemu_state
from sampan.machine.error import MachineEndedError
from sampan.machine.qmp import Failure, Notice


class Process:
    """Writes `data` when it is told to migrate, then tells `status`."""

    def __init__(self, data=b"", status="completed", refuses=(), dies=False):
        self.data, self.status, self.refuses, self.dies = data, status, refuses, dies
        self.commands = []
        self._listeners = []

    def listen(self, listener):
        self._listeners.append(listener)

    def tell(self, status):
        for listener in self._listeners:
            listener(Notice("MIGRATION", {"status": status}, 0.0))

    async def execute(self, command, arguments=None):
        self.commands.append(command)
        if command in self.refuses:
            raise CommandError(command, Failure(1, "GenericError", "no"))
        if command == "query-status" and self.dies:
            raise MachineEndedError("gone")
        if command == "query-migrate":
            return {"error-desc": "because"}
        if command == "migrate":
            self._write(arguments["uri"].removeprefix("unix:"))
        if command == "migrate-incoming" and not self.dies:
            self.tell(self.status)
        if command == "migrate_cancel":
            self.tell("cancelled")
        return {}

    def _write(self, path):
        self.tell("active")
        with socket.socket(socket.AF_UNIX) as ours:
            ours.connect(path)
            ours.sendall(self.data)
        if self.status:
            self.tell(self.status)


class Sink(io.BytesIO):
    full = False

    def write(self, data):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(bytes(data))


def _save(process, path, sink):
    asyncio.run(qemu_state.save(process, path, sink, Silent().start("", None)))


def test_all_bytes_are_taken(tmp_path):
    process, sink = Process(b"state" * 100), Sink()
    _save(process, tmp_path / "s", sink)
    assert sink.getvalue() == b"state" * 100
    assert process.commands == ["migrate-set-capabilities", "migrate-set-parameters", "migrate"]
    assert not (tmp_path / "s").exists()


def test_a_failure_is_explained(tmp_path):
    with pytest.raises(qemu_state.StateError, match="because"):
        _save(Process(status="failed"), tmp_path / "s", Sink())


def test_a_refusal(tmp_path):
    with pytest.raises(CommandError):
        _save(Process(refuses=("migrate",)), tmp_path / "s", Sink())
    assert not (tmp_path / "s").exists()


def test_a_full_disk_gives_up(tmp_path):
    process, sink = Process(b"state", status=""), Sink()
    sink.full = True
    with pytest.raises(OSError, match="No space"):
        _save(process, tmp_path / "s", sink)
    assert process.commands[-1] == "migrate_cancel"


def test_being_cancelled_gives_up(tmp_path):
    process = Process(status="")

    async def scenario():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await qemu_state.save(process, tmp_path / "s", Sink(), Silent().start("", None))

    asyncio.run(scenario())
    assert process.commands[-1] == "migrate_cancel"


def test_taking_a_state_in():
    process = Process()
    asyncio.run(qemu_state.load(process, "fd:7"))
    assert process.commands[2] == "migrate-incoming"


def test_a_state_that_is_not_taken():
    with pytest.raises(qemu_state.StateError, match="because"):
        asyncio.run(qemu_state.load(Process(status="failed"), "fd:7"))


def test_a_process_that_dies_over_a_state():
    with pytest.raises(MachineEndedError):
        asyncio.run(qemu_state.load(Process(dies=True), "fd:7"))


def test_sending_fails_where_it_begins(tmp_path):
    source, target = Process(refuses=("migrate",)), Process()
    with pytest.raises(CommandError):
        asyncio.run(qemu_state.send(source, target, tmp_path / "s"))

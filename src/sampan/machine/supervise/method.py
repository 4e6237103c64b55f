"""The methods that every running machine has on its control socket."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol

from sampan.machine.error import MachineEndedError
from sampan.machine.lifecycle import VM
from sampan.machine.supervise import model
from sampan.machine.supervise.model import Nothing
from sampan.machine.supervise.screen import Screen
from sampan.machine.supervise.server import Call, Server
from sampan.machine.view.event import Ended as EndedEvent
from sampan.machine.view.metrics import Metrics


class Keeper(Protocol):
    """Whoever runs the machine, and decides about its end."""

    def stop(self, deadline_s: float | None) -> None:
        """Begin to power it off; end it after `deadline_s` (None: as usual)."""

    def kill(self) -> None:
        """Begin to end it."""


class Methods:
    """The methods, bound to a machine."""

    def __init__(self, server: Server, vm: VM, screen: Screen, keeper: Keeper) -> None:
        self._server = server
        self._vm = vm
        self._keeper = keeper
        server.add("info", self._info, Nothing)
        server.add("power-button", self._power_button, Nothing)
        server.add("stop", self._stop, model.StopAsked)
        server.add("kill", self._kill, Nothing)
        server.add("pause", self._pause, Nothing)
        server.add("resume", self._resume, Nothing)
        server.add("events", self._events, model.EventsAsked)
        server.add("console", screen.view, model.ConsoleAsked)
        server.add("metrics", self._metrics, Nothing)
        server.add("execute", self._execute, model.ExecuteAsked)

    async def _info(self, _: Call[Nothing]) -> model.Info:
        return model.Info(
            name=self._vm.spec.name,
            state=self._vm.state.value,
            pid=self._vm.pid,
            supervisor_pid=os.getpid(),
            accel=self._vm.verdict.accel.value,
            methods=self._server.methods,
        )

    async def _power_button(self, _: Call[Nothing]) -> None:
        with suppress(MachineEndedError):  # so fast that it did not even answer
            await self._vm.press_power_button()

    async def _stop(self, call: Call[model.StopAsked]) -> model.Ended:
        self._keeper.stop(call.params.deadline_s)
        return model.Ended(await self._vm.wait())

    async def _kill(self, _: Call[Nothing]) -> model.Ended:
        self._keeper.kill()
        return model.Ended(await self._vm.wait())

    async def _pause(self, _: Call[Nothing]) -> None:
        await self._vm.pause()

    async def _resume(self, _: Call[Nothing]) -> None:
        await self._vm.resume()

    async def _events(self, call: Call[model.EventsAsked]) -> None:
        journal = self._vm.journal
        if not call.params.follow:
            for event in journal.after(call.params.after):
                await call.send(event)
            return
        async for event in journal.follow(call.params.after):
            await call.send(event)
            if isinstance(event, EndedEvent):
                return

    async def _metrics(self, _: Call[Nothing]) -> Metrics:
        return await self._vm.metrics()

    async def _execute(self, call: Call[model.ExecuteAsked]) -> model.Executed:
        asked = call.params
        return model.Executed(await self._vm.execute(asked.command, asked.arguments))

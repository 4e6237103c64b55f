"""The services of a system as a state machine: what to start, signal and start again.

Theory of operation. Each service is in one state::

    down ──start──▶ starting ──started──▶ running ──exited──▶ down or waiting
     ▲                 │ failed                │ stop              │ due
     │                 ▼                       ▼                   ▼
     └──── (policy) waiting              stopping ──exited──▶ down (or starting: restart)

The daemon carries out `actions()` and reports what came of them (`started`, `failed`,
`exited`); people ask (`start`, `stop`, `restart`). Time comes in as `now`; call `tick` when
`next_timer()` is reached. Pure: no processes, clocks or sockets.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

from sampan.guest.agent.fault import AgentError
from sampan.guest.agent.policy import Backoff
from sampan.guest.agent.process import explain

DOWN = "down"
STARTING = "starting"
RUNNING = "running"
STOPPING = "stopping"
WAITING = "waiting"

GRACE_S = 10.0  # between SIGTERM and SIGKILL
START = 0  # in `Action.signal`: not a signal, but a start


class Action:
    """What the daemon has to do: start the service `name`, or send it `signal`."""

    __slots__ = ("name", "signal")

    def __init__(self, name: str, signal: int) -> None:
        self.name = name
        self.signal = signal


class Service:
    """What is known of one service. `due_s` is when it starts again, or is killed."""

    __slots__ = (
        "again", "backoff", "due_s", "name", "note", "pid", "restarts", "started_s", "state",
    )  # fmt: skip

    def __init__(self, name: str, restart: str) -> None:
        self.name = name
        self.backoff = Backoff(restart)
        self.state = DOWN
        self.pid = 0
        self.started_s = 0.0
        self.due_s: float | None = None
        self.restarts = 0
        self.again = False  # when it has stopped: start it again
        self.note = ""  # how it last ended


class Supervisor:
    """All services. After every call, carry out `actions()`, then print `news()`."""

    def __init__(self, services: Iterable[tuple[str, str]]) -> None:
        self.services = {name: Service(name, restart) for name, restart in services}
        self._actions: list[Action] = []
        self._news: list[str] = []

    def actions(self) -> list[Action]:
        """What is to be done now, in order; asking empties the list."""
        actions, self._actions = self._actions, []
        return actions

    def news(self) -> list[str]:
        """Lines worth showing on the console; asking empties the list."""
        news, self._news = self._news, []
        return news

    def next_timer(self) -> float | None:
        """When `tick` must be called next."""
        return min((s.due_s for s in self.services.values() if s.due_s is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due: start again what waits, kill what does not stop."""
        for service in self.services.values():
            if service.due_s is None or service.due_s > now:
                continue
            service.due_s = None
            if service.state == WAITING:
                service.restarts += 1
                self._start(service)
            elif service.state == STOPPING:
                self._actions.append(Action(service.name, signal.SIGKILL))

    def start(self, name: str) -> None:
        """Start a service that is down.

        Raises:
            AgentError: no such service, or it is not down.
        """
        service = self.find(name)
        if service.state not in (DOWN, WAITING):
            raise AgentError(f"service {name} is {service.state}")
        service.backoff.reset()
        service.due_s = None
        self._start(service)

    def stop(self, name: str, now: float) -> None:
        """Stop a service: it is asked to end, and killed after `GRACE_S`.

        Raises:
            AgentError: no such service.
        """
        service = self.find(name)
        service.again = False
        if service.state == WAITING:
            service.state, service.due_s = DOWN, None
        elif service.state == RUNNING:
            service.state, service.due_s = STOPPING, now + GRACE_S
            self._actions.append(Action(name, signal.SIGTERM))

    def restart(self, name: str, now: float) -> None:
        """Stop a service if it is up, and start it.

        Raises:
            AgentError: no such service.
        """
        service = self.find(name)
        if service.state in (DOWN, WAITING):
            self.start(name)
            return
        self.stop(name, now)
        service.again = True

    def started(self, name: str, pid: int, now: float) -> None:
        """The service runs; `pid` is its first process."""
        service = self.services[name]
        service.state, service.pid, service.started_s = RUNNING, pid, now

    def failed(self, name: str, reason: str, now: float) -> None:
        """The service could not be started."""
        service = self.services[name]
        service.started_s = now
        service.note = reason
        self._ended(service, 1, f"cannot start: {reason}", now)

    def exited(self, name: str, status: int, now: float) -> None:
        """The service's first process ended (see `process.decode` for `status`)."""
        service = self.services[name]
        service.note = explain(status)
        if service.state == STOPPING:
            service.state, service.pid, service.due_s = DOWN, 0, None
            if service.again:
                self.start(name)
            return
        self._ended(service, status, service.note, now)

    def find(self, name: str) -> Service:
        """The service of that name.

        Raises:
            AgentError: there is none.
        """
        try:
            return self.services[name]
        except KeyError:
            known = ", ".join(self.services) or "none"
            raise AgentError(f"no service {name!r} in this image (it has: {known})") from None

    def table(self, now: float, names: Iterable[str] = ()) -> str:
        """These services (none: all) for people: name, state, process, time up, restarts, end."""
        rows = [f"{'NAME':<20} {'STATE':<9} {'PID':>6} {'UP':>7} {'RESTARTS':>8}  LAST END"]
        for s in [self.services[name] for name in names or self.services]:
            up = f"{now - s.started_s:.0f}s" if s.state == RUNNING else "-"
            rows.append(
                f"{s.name:<20} {s.state:<9} {s.pid or '-':>6} {up:>7} {s.restarts:>8}  {s.note}"
            )
        return "\n".join(line.rstrip() for line in rows)

    def _start(self, service: Service) -> None:
        service.state = STARTING
        service.again = False
        self._actions.append(Action(service.name, START))

    def _ended(self, service: Service, status: int, how: str, now: float) -> None:
        delay = service.backoff.after(status, now - service.started_s)
        service.pid = 0
        if delay is None:
            service.state, service.due_s = DOWN, None
            then = ""
        else:
            service.state, service.due_s = WAITING, now + delay
            then = f"; starting again in {delay:g} s"
        if status != 0 or delay is not None:
            self._news.append(f"service {service.name} {how}{then}")

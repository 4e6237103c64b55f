"""The process that keeps the services running: `supervisor` with real processes and time.

One thread, one poll(2): the processes of the services (as pidfds, so that a process that is
not our child can be watched too), the control socket, and SIGCHLD for orphans that came to us.
Init starts us again if we die; services that run are then adopted.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time

from sampan.guest.agent import bundle as bundles
from sampan.guest.agent import containerd, control, engine, log, process
from sampan.guest.agent.fault import AgentError
from sampan.guest.agent.supervisor import START, STARTING, STOPPING, WAITING, Supervisor

_LOG_CHECK_S = 2.0
_MARK = f"{engine.STATE}/.supervised"


class Daemon:
    """Services, the engine that runs them, and the people who ask."""

    def __init__(self, services: list[bundles.Bundle], server: socket.socket) -> None:
        self._bundles = {bundle.name: bundle for bundle in services}
        self._core = Supervisor((b.name, b.config.restart) for b in services)
        self._server = server
        self._poll = select.poll()
        self._watched: dict[int, str] = {}  # pidfd → service
        self._clients: list[tuple[socket.socket, list[str]]] = []  # who waits for which to settle
        self._containerd: int | None = None
        self._log_check_s = 0.0
        self._engine: engine.Engine

    def run(self) -> None:
        """Start everything, then serve for ever."""
        wake = _wake_on_child()
        self._poll.register(wake, select.POLLIN)
        self._poll.register(self._server, select.POLLIN)
        self._engine = self._choose_engine()
        self._start_all()
        while True:
            self._carry_out()
            for descriptor, _ in self._poll.poll(self._timeout_ms()):
                if descriptor == wake:
                    os.read(wake, 4096)
                elif descriptor == self._server.fileno():
                    self._serve()
                else:
                    self._ended(descriptor)
            self._reap_orphans()
            now = time.monotonic()
            self._core.tick(now)
            self._check_logs(now)

    def _choose_engine(self) -> engine.Engine:
        program, ctr = process.find("containerd"), process.find("ctr")
        if program is None or ctr is None:
            return engine.RuntimeEngine()
        if not containerd.answers():
            self._start_containerd(program)
        return engine.ContainerdEngine(ctr)

    def _start_containerd(self, program: str) -> None:
        self._containerd = containerd.start(program)
        self._poll.register(os.pidfd_open(self._containerd), select.POLLIN)

    def _start_all(self) -> None:
        again = os.path.exists(_MARK)
        for name, bundle in self._bundles.items():
            pid = self._engine.adopt(bundle) if again else None
            if pid is None:
                self._core.start(name)
            else:
                self._started(name, pid)
        os.makedirs(os.path.dirname(_MARK), exist_ok=True)
        with open(_MARK, "wb"):
            pass
        self._carry_out()
        up = sum(service.pid > 0 for service in self._core.services.values())
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        _say(f"{up} of {len(self._bundles)} services running, {uptime:.1f} s after boot")

    def _carry_out(self) -> None:
        for action in self._core.actions():
            if action.signal == START:
                self._start(action.name)
            else:
                _send(self._core.services[action.name].pid, action.signal)
        for line in self._core.news():
            _say(line)
        self._answer_waiting()

    def _start(self, name: str) -> None:
        try:
            pid = self._engine.start(self._bundles[name])
        except (AgentError, OSError) as error:
            self._core.failed(name, str(error), time.monotonic())
        else:
            self._started(name, pid)

    def _started(self, name: str, pid: int) -> None:
        self._core.started(name, pid, time.monotonic())
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already, and was another process' child
            self._collect(name)
            return
        self._watched[descriptor] = name
        self._poll.register(descriptor, select.POLLIN)

    def _ended(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        os.close(descriptor)
        name = self._watched.pop(descriptor, None)
        if name is None:  # the only other process we watch
            self._revive_containerd()
        else:
            self._collect(name)

    def _collect(self, name: str) -> None:
        pid = self._core.services[name].pid
        status = self._engine.collect(self._bundles[name], pid)
        self._core.exited(name, status, time.monotonic())

    def _revive_containerd(self) -> None:
        if self._containerd is not None:
            status = process.wait(self._containerd)
            _say(f"containerd {process.explain(status)}; starting it again")
        program = process.find("containerd")
        if program is not None:
            self._start_containerd(program)

    def _reap_orphans(self) -> None:
        ours = {service.pid for service in self._core.services.values()} | {self._containerd}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in ours:  # (its pidfd is ready too)
                return
            os.waitpid(ended.si_pid, 0)

    def _check_logs(self, now: float) -> None:
        if now < self._log_check_s:
            return
        self._log_check_s = now + _LOG_CHECK_S
        for name in self._bundles:
            log.turn_over(engine.log_path(name))

    def _timeout_ms(self) -> int:
        due = self._core.next_timer()
        wait = _LOG_CHECK_S if due is None else min(_LOG_CHECK_S, due - time.monotonic())
        return max(0, int(wait * 1000) + 1)

    def _serve(self) -> None:
        try:
            client, _ = self._server.accept()
        except OSError:  # it changed its mind
            return
        client.settimeout(2.0)  # a client that says nothing must not hold everybody up
        try:
            command, name = control.parse_request(client.makefile("rb").readline(control.LIMIT))
            names = self._obey(command, name)
        except OSError:
            client.close()
        except AgentError as error:
            _reply(client, str(error), ok=False)
        else:
            self._clients.append((client, names))

    def _obey(self, command: str, name: str) -> list[str]:
        """Do what was asked; the services to wait for before the answer."""
        now = time.monotonic()
        if command == "list":
            return []
        if command == "stop-all":
            for each in self._bundles:
                self._core.stop(each, now)
            return list(self._bundles)
        self._core.find(name)
        if command == "start":
            self._core.start(name)
        elif command == "stop":
            self._core.stop(name, now)
        elif command == "restart":
            self._core.restart(name, now)
        return [name]

    def _answer_waiting(self) -> None:
        waiting, self._clients = self._clients, []
        for client, names in waiting:
            states = {self._core.services[name].state for name in names}
            if states & {STARTING, STOPPING}:
                self._clients.append((client, names))
            else:
                ok = len(names) != 1 or WAITING not in states
                _reply(client, self._core.table(time.monotonic(), names), ok=ok)


def supervise() -> int:
    """Run the system's services; returns only when there is nothing to run."""
    services = []
    for path in bundles.folders("services"):
        try:
            services.append(bundles.load(path))
        except AgentError as error:
            _say(f"service {os.path.basename(path)} is left out: {error}")
    if not services and process.find("containerd") is None:
        signal.pause()  # init would start us again
    server = control.listen()
    try:
        Daemon(services, server).run()
    except AgentError as error:
        _say(f"services cannot run: {error}")
        time.sleep(10)  # init starts us again at once
        return 1
    return 0


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _send(pid: int, number: int) -> None:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            deaf = process.is_deaf(stream.read())
        os.kill(pid, signal.SIGKILL if deaf else number)
    except (FileNotFoundError, ProcessLookupError):
        return  # it has just ended; its pidfd says so


def _reply(client: socket.socket, text: str, *, ok: bool) -> None:
    with client:
        try:
            client.sendall(control.format_reply(text, ok=ok))
        except OSError:
            return  # whoever asked went away


def _say(text: str) -> None:
    print(f"sampan: {text}", flush=True)

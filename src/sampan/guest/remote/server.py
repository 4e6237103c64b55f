"""The agent's loop: one poll(2) over the port, the children and their pipes.

Calls that take no time are answered at once; the others are children (`job`). A caller that is
gone, or begins anew, takes its children with it: they get SIGTERM, and SIGKILL after `PATIENCE_S`.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from sampan.base.agent import session
from sampan.base.agent.session import Event, Server
from sampan.guest.remote import call, job, socket_table, work
from sampan.guest.remote.call import Params
from sampan.guest.remote.fault import CallError
from sampan.guest.remote.job import Job
from sampan.guest.remote.place import Place

PATIENCE_S = 2.0
_ABSENT_S = 0.25  # between looks at a port nobody has open on the host
_ENOUGH = 256 << 10  # of what the host has not taken; then the children wait
_PIECE = 64 << 10

_WORKS: dict[str, Callable[[Params], None]] = {
    "exec": work.execute,
    "put": work.put,
    "get": work.get,
    "mount": work.mount,
    "replay": work.replay,
}


class Agent:
    """Serves the caller at the other end of `port`, a non-blocking descriptor."""

    def __init__(
        self, port: int, place: Place, *, set_clock: Callable[[float], None], info: bytes
    ) -> None:
        self._port = port
        self._place = place
        self._set_clock = set_clock
        self._info = info
        self._session = Server()
        self._unsent = b""
        self._jobs: dict[int, Job] = {}  # by channel
        self._dying: dict[int, float] = {}  # pid → when it is killed
        self._is_over = False

    def run(self) -> None:
        """Serve until the port has an end (a serial port has none)."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        wake = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            self._session.announce()
            while not self._is_over:
                self._turn(reader)
        finally:
            signal.set_wakeup_fd(wake)
            signal.signal(signal.SIGCHLD, before)
            os.close(reader)
            os.close(writer)
            self._drop_all(signal.SIGKILL)

    def _turn(self, wake: int) -> None:
        poll, owners = select.poll(), self._watch()
        poll.register(wake, select.POLLIN)
        for descriptor, (events, _) in owners.items():
            poll.register(descriptor, events)
        ready = dict(poll.poll(self._timeout_ms()))
        if ready.pop(wake, 0):
            os.read(wake, 4096)
        self._reap()
        absent = ready.get(self._port, 0) & select.POLLHUP
        for descriptor, (_, channel) in owners.items():
            if channel is not None and descriptor in ready:
                self._move(channel, descriptor)
        if self._port in ready:
            self._receive()
        self._finish()
        self._flush()
        if absent and not self._is_over:
            time.sleep(_ABSENT_S)

    def _watch(self) -> dict[int, tuple[int, int | None]]:
        """What to wait for: descriptor → events and the channel it belongs to."""
        unsent = len(self._unsent) + self._session.unsent_bytes
        wanted: dict[int, tuple[int, int | None]] = {
            self._port: (select.POLLIN | (select.POLLOUT if unsent else 0), None)
        }
        for channel, each in self._jobs.items():
            if each.wants_to_write and each.stdin is not None:
                wanted[each.stdin] = (select.POLLOUT, channel)
            if unsent < _ENOUGH and self._session.room(channel):
                for descriptor in each.outputs:
                    events = select.POLLIN | wanted.get(descriptor, (0, None))[0]
                    wanted[descriptor] = (events, channel)
        return wanted

    def _timeout_ms(self) -> int | None:
        if not self._dying:
            return None
        return max(0, int((min(self._dying.values()) - time.monotonic()) * 1000) + 1)

    def _move(self, channel: int, descriptor: int) -> None:
        """Move bytes between a channel and a child."""
        each = self._jobs.get(channel)
        if each is None:
            return
        if descriptor == each.stdin and each.wants_to_write:
            self._session.consumed(channel, each.write())
        if descriptor in each.outputs:
            self._read(channel, each, descriptor)

    def _read(self, channel: int, each: Job, descriptor: int) -> bool:
        """Pass on what a child says; whether there may be more."""
        room = self._session.room(channel)
        if not room:
            return False
        stream = each.outputs[descriptor]
        data = each.read(descriptor, room)
        if data:
            self._session.send(channel, stream, data)
        elif data is not None:
            self._session.end(channel, stream)
        return bool(data)

    def _finish(self) -> None:
        """Answer for children that have ended, once all they said is on its way."""
        for channel, each in list(self._jobs.items()):
            if each.status is None:
                continue
            for descriptor in list(each.outputs):
                while self._session.unsent_bytes < _ENOUGH and self._read(
                    channel, each, descriptor
                ):
                    pass
            # what other processes, which still have the pipe, may say later is nobody's
            if self._session.room(channel) and self._session.unsent_bytes < _ENOUGH:
                each.close()
                del self._jobs[channel]
                self._session.answer(channel, call.result({"code": each.status}))

    def _receive(self) -> None:
        try:
            data = os.read(self._port, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # of a serial port that is what one reads while nobody is at the other end
            self._is_over = not os.isatty(self._port) and not _is_device(self._port)
            return
        self._session.received(data)
        for event in self._session.events():
            self._obey(event)

    def _obey(self, event: Event) -> None:
        channel = event.channel
        each = self._jobs.get(channel)
        if event.kind == session.UP:
            self._session.welcome(self._info)
        elif event.kind == session.DOWN:
            self._drop_all(signal.SIGTERM)
        elif event.kind == session.OPENED:
            self._open(channel, event.data)
        elif each is None:
            return
        elif event.kind == session.RECEIVED:
            self._feed(channel, each, event.data)
        elif event.kind == session.ENDED:
            each.ended()
        elif event.kind == session.NOTED:
            _take_note(each, call.parse_note(event.data))
        elif event.kind == session.RESET:
            self._drop(channel, signal.SIGTERM)

    def _feed(self, channel: int, each: Job, data: bytes) -> None:
        if each.stdin is None:  # it reads nothing, or no more
            self._session.consumed(channel, len(data))
        else:
            each.received(data)
            self._session.consumed(channel, each.write())

    def _open(self, channel: int, body: bytes) -> None:
        try:
            method, params = call.parse(body)
            if method in _WORKS:
                self._jobs[channel] = self._start(_WORKS[method], params)
            else:
                self._session.answer(channel, call.result(self._answer(method, params)))
        except (CallError, OSError) as error:
            self._session.answer(channel, call.error(str(error)))

    def _start(self, function: Callable[[Params], None], params: Params) -> Job:
        def doing() -> int:
            return work.run(function, params, self._place)

        if params.get("terminal", False):
            size = params.get("rows", 24), params.get("columns", 80)
            return job.start_on_terminal(doing, self._place.terminals, size)
        return job.start(doing, has_input=params.get("input", False))

    def _answer(self, method: str, params: Params) -> dict[str, object]:
        """The result of a call that takes no time."""
        if method == "ping":
            return {}
        if method == "clock":
            before = time.time()  # noqa: TID251  the clock itself is what is asked for
            self._set_clock(params.get("wall_s", 0.0))
            return {"stepped_s": params.get("wall_s", 0.0) - before}
        if method == "ports":
            return {"ports": socket_table.read(self._place)}
        raise CallError(f"this agent has no method {method[:80]!r}")

    def _drop_all(self, number: int) -> None:
        for channel in list(self._jobs):
            self._drop(channel, number)

    def _drop(self, channel: int, number: int) -> None:
        each = self._jobs.pop(channel)
        each.kill(number)
        each.close()
        if each.status is None:
            self._dying[each.pid] = time.monotonic() + PATIENCE_S

    def _reap(self) -> None:
        now = time.monotonic()
        for pid, due in list(self._dying.items()):
            if due <= now:
                self._dying[pid] = now + PATIENCE_S
                _kill_group(pid)
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._dying.clear()
                return
            if pid == 0:
                return
            self._dying.pop(pid, None)
            code = os.waitstatus_to_exitcode(raw)
            for each in self._jobs.values():
                if each.pid == pid:
                    each.status = code if code >= 0 else 128 - code

    def _flush(self) -> None:
        self._unsent += self._session.data_to_send()
        try:
            while self._unsent:
                written = os.write(self._port, self._unsent[:_PIECE])
                self._unsent = self._unsent[written:]
        except BlockingIOError:
            return
        except OSError:  # nobody is at the other end: it will begin anew
            self._unsent = b""


def _take_note(each: Job, note: Params) -> None:
    try:
        if note.has("rows"):
            each.resize(note.get("rows", 24), note.get("columns", 80))
        if note.has("signal"):
            each.kill(signal.Signals(note.get("signal", 15)))
    except (CallError, ValueError):
        return  # a note is not answered


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_device(descriptor: int) -> bool:
    return os.fstat(descriptor).st_mode & 0o170000 == 0o020000

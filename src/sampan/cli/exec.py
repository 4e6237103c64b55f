"""`sampan exec`."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import select
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import target
from sampan.errors import SampanError, UsageError

if TYPE_CHECKING:
    from sampan.machine.agent.client import Agent
    from sampan.machine.agent.program import Command, Program, Window

_EPILOG = """\b
Examples:
  sampan exec web uname -a
  sampan exec -it web sh
  sampan exec --container nginx web nginx -t
  echo hello | sampan exec -i web sh -c 'cat > /tmp/hello'

The machine's system needs the service sampan/agent. Programs run as root in the root of the
system, where init is, or with --container in the container of a service, with its limits. The
exit status is that of the program: 127 if it is not there, 128 + N if signal N ended it.
"""
_IN, _OUT, _ERR = 0, 1, 2
_PIECE = 32 << 10
_SILENT_S = 2.0  # then it is said on a terminal what is waited for
_GRACE_S = 5.0  # for a program that was told to end
_MOST_INTERRUPTS = 3  # who says it so often does not want to wait for the program


@click.command(
    "exec", epilog=_EPILOG, context_settings={"allow_interspersed_args": False}
)  # fmt: skip
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give the program a terminal.")
@click.option("--container", default="", metavar="SERVICE", help="Run in a service's container.")
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set; repeat for more.")
@click.option("-w", "--cwd", default="", metavar="FOLDER", help="Where it runs.")
@click.option(
    "-u", "--user", default="", metavar="USER[:GROUP]",
    help="Whose program it is; in a container, numbers.",
)  # fmt: skip
@click.option(
    "--wait", default=30.0, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
    help="How long the agent may take to answer.",
)  # fmt: skip
@target.name
@click.argument("argv", metavar="COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    interactive: bool,
    tty: bool,
    container: str,
    env: tuple[str, ...],
    cwd: str,
    user: str,
    wait: float,
    name: str,
    argv: tuple[str, ...],
) -> int:
    """Run a program in a machine that runs."""
    from sampan.machine.agent.program import Command

    if tty and not os.isatty(_IN):
        raise UsageError("there is no terminal here", hint="leave -t away")
    control = target.awake(target.healed(target.store(), name)).path
    wanted = Command(
        argv=argv,
        env=_environment(env, tty=tty),
        cwd=cwd,
        user=user,
        container=container,
        terminal=_window() if tty else None,
    )
    return asyncio.run(_run(control, wanted, wait_s=wait, has_input=interactive))


def _environment(given: tuple[str, ...], *, tty: bool) -> dict[str, str]:
    table = {"TERM": os.environ["TERM"]} if tty and "TERM" in os.environ else {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {each}: say NAME=VALUE")
        table[name] = value
    return table


def _window() -> Window:
    from sampan.machine.agent.program import Window

    size = os.get_terminal_size(_IN)
    return Window(size.lines or 24, size.columns or 80)  # some terminals do not know


@asynccontextmanager
async def reached(control: Path, wait_s: float) -> AsyncIterator[Agent]:
    """The agent of the machine with that control socket.

    Raises:
        NoAgentError: none answers within `wait_s`, or the machine has no channel to one.
    """
    from sampan.machine.agent import NoAgentError, served
    from sampan.machine.supervise.protocol import UnknownMethodError

    told = asyncio.get_running_loop().call_later(_SILENT_S, _say_what_is_waited_for, wait_s)
    try:
        async with served.reach(control, deadline_s=wait_s) as agent:
            told.cancel()
            yield agent
    except UnknownMethodError as error:
        raise NoAgentError(
            "the machine has no channel to an agent",
            hint="drivers other than qemu have none, and machines of older versions",
        ) from error
    finally:
        told.cancel()


def _say_what_is_waited_for(wait_s: float) -> None:
    if os.isatty(_ERR):
        click.echo(f"sampan: waiting for the agent in the machine, {wait_s:g} s at most", err=True)


async def _run(control: Path, wanted: Command, *, wait_s: float, has_input: bool) -> int:
    async with reached(control, wait_s) as agent, agent.start(wanted) as program:
        with ExitStack() as undo:
            if wanted.terminal is not None and has_input:
                from sampan.machine import terminal

                undo.enter_context(terminal.raw_mode(_IN))
            left = undo.enter_context(_signals(program, wanted))
            try:
                async with asyncio.TaskGroup() as tasks:
                    feeding = tasks.create_task(_feed(program, has_input=has_input), name="input")
                    failure = await _show(program)
                    feeding.cancel()
            except asyncio.CancelledError:
                if not left:
                    raise
                return 128 + left[0]
            if failure is not None:
                raise failure
            return await program.wait()


async def _show(program: Program) -> Exception | None:
    """Print what the program says, to its end; what went wrong, to be raised outside of tasks."""
    try:
        while (piece := await program.read()) is not None:
            stream, data = piece
            _write(_ERR if stream == _ERR else _OUT, data)
    except (SampanError, OSError) as error:
        return error
    return None


async def _feed(program: Program, *, has_input: bool) -> None:
    while has_input and (data := await _typed()):
        if not await program.write(data):
            return
    program.end_input()


async def _typed() -> bytes:
    """What there is on standard input; empty at its end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(_IN, _finish, ready)
    except PermissionError:  # a file, which is always ready
        return await asyncio.to_thread(os.read, _IN, _PIECE)
    try:
        await ready
    finally:
        loop.remove_reader(_IN)
    try:
        return os.read(_IN, _PIECE)
    except OSError:  # the terminal is gone
        return b""


def _finish(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


@contextmanager
def _signals(program: Program, wanted: Command) -> Iterator[list[int]]:
    """Pass signals on to the program, and the size of the terminal.

    A machine may be stuck, and a program deaf: then the task is cancelled, and what is given has
    the signal that was for it.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    interrupts = itertools.count(1)
    left: list[int] = []

    def leave(number: int) -> None:
        left.append(number)
        task.cancel()

    def interrupt() -> None:
        program.signal(signal.SIGINT)
        if next(interrupts) == _MOST_INTERRUPTS:
            leave(signal.SIGINT)

    def end(number: int) -> None:
        program.signal(number)
        loop.call_later(_GRACE_S, leave, number)

    actions: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGINT: interrupt,
        signal.SIGTERM: functools.partial(end, signal.SIGTERM),
        signal.SIGHUP: functools.partial(end, signal.SIGHUP),
    }
    if wanted.terminal is not None:
        actions[signal.SIGWINCH] = lambda: program.resize(_window())
    for number, action in actions.items():
        loop.add_signal_handler(number, action)
    try:
        yield left
    finally:
        for number in actions:
            loop.remove_signal_handler(number)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        with suppress(BlockingIOError):  # whoever gave us the descriptor made it non-blocking
            view = view[os.write(descriptor, view) :]
            continue
        select.select([], [descriptor], [])

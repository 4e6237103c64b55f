import asyncio
import fcntl
import os
import pty
import resource
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine import terminal
from sampan.machine.console import Console
from sampan.machine.terminal import Escape, Keyboard


@pytest.mark.parametrize(
    ("typed", "passed", "escapes"),
    [
        (b"ls\r", b"ls\r", ()),
        (b"\x03\x1a\x1d", b"\x03\x1a\x1d", ()),
        (b"a\x01xb", b"ab", (Escape.LEAVE,)),
        (b"\x01X", b"", (Escape.LEAVE,)),
        (b"\x01p\x01h", b"", (Escape.POWER_BUTTON, Escape.HELP)),
        (b"\x01\x01", b"\x01", ()),
        (b"\x01a", b"\x01", ()),
        (b"\x01?", b"", (Escape.HELP,)),
        (b"\x01", b"", ()),
    ],
)
def test_keys(typed, passed, escapes):
    assert Keyboard().feed(typed) == (passed, escapes)
    keyboard = Keyboard()
    pieces = [keyboard.feed(bytes([key])) for key in typed]
    assert b"".join(piece for piece, _ in pieces) == passed
    assert tuple(escape for _, found in pieces for escape in found) == escapes


@given(st.binary().filter(lambda data: b"\x01" not in data))
def test_without_prefix_everything_passes(data):
    assert Keyboard().feed(data) == (data, ())


@pytest.fixture
def terminal_pair():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def interrupted(descriptor):
    with terminal.raw_mode(descriptor):
        raise KeyboardInterrupt


def test_raw_mode_is_undone_whatever_happens(terminal_pair):
    _, slave = terminal_pair
    before = termios.tcgetattr(slave)
    with terminal.raw_mode(slave) as make_raw:
        raw = termios.tcgetattr(slave)
        assert not raw[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        termios.tcsetattr(slave, termios.TCSANOW, before)  # what a shell does after a stop
        make_raw()
        assert termios.tcgetattr(slave) == raw
    assert termios.tcgetattr(slave) == before
    with pytest.raises(KeyboardInterrupt):
        interrupted(slave)
    assert termios.tcgetattr(slave) == before


def shown(pieces, *, plain, reader_gone=False):
    """What a pipe's reader gets when the console says `pieces`."""

    async def run():
        reading, writing = os.pipe()
        if reader_gone:
            os.close(reading)
        output = terminal.Output(writing, plain=plain)
        console = Console()
        output.attach(console)
        for piece in pieces:
            console.data_received(piece)
        await output.drain()
        os.close(writing)
        if reader_gone:
            return b""
        with os.fdopen(reading, "rb") as stream:
            return stream.read()

    return asyncio.run(run())


def test_a_terminal_gets_the_bytes_as_they_are():
    assert shown([b"\x1b[1mhi\r\n", b"there"], plain=False) == b"\x1b[1mhi\r\nthere"


def test_a_pipe_gets_plain_text():
    assert shown([b"\x1b[1", b"mhi\r\n", b"\x1b[0m"], plain=True) == b"hi\n"


def test_a_reader_that_is_gone_is_no_error():
    assert shown([b"x" * 10_000] * 100, plain=True, reader_gone=True) == b""


def test_a_slow_reader_makes_the_guest_wait():
    class Slow(Console):
        def __init__(self):
            super().__init__()
            self.calls: list[str] = []

        def pause(self):
            self.calls.append("pause")

        def resume(self):
            self.calls.append("resume")

    async def run():
        reading, writing = os.pipe()
        output, console = terminal.Output(writing, plain=False), Slow()
        output.attach(console)
        total = 0
        while not console.calls:
            console.data_received(b"x" * 65536)
            total += 65536
        taken = 0
        while taken < total:
            taken += len(await asyncio.to_thread(os.read, reading, 65536))
        await output.drain()
        await asyncio.sleep(0)
        os.close(writing)
        os.close(reading)
        return console.calls

    assert asyncio.run(run()) == ["pause", "resume"]


def test_what_is_not_written_when_it_is_closed_is_dropped():
    async def run():
        reading, writing = os.pipe()
        output = terminal.Output(writing, plain=False)
        output.write(b"x" * 200_000)  # more than a pipe holds
        output.write(b"y")
        shown = await asyncio.to_thread(os.read, reading, 1)  # it is at the first
        output.close()
        while len(shown) < 200_000:
            shown += await asyncio.to_thread(os.read, reading, 65536)
        await output.drain()
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            return shown + stream.read()

    assert asyncio.run(run()) == b"x" * 200_000


@pytest.mark.parametrize("number", [0, 1024])  # from 1024 on select(2) does not take them
def test_a_non_blocking_descriptor(number):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= number:
        pytest.skip("no such descriptors here")

    async def run():
        reading, low = os.pipe()
        writing = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, number)
        os.close(low)
        os.set_blocking(writing, False)
        output = terminal.Output(writing, plain=False)
        output.write(b"x" * 200_000)
        taken = 0
        while taken < 200_000:
            taken += len(await asyncio.to_thread(os.read, reading, 65536))
        await output.drain()
        os.close(writing)
        os.close(reading)

    asyncio.run(run())


def test_keys_reach_the_console(terminal_pair):
    master, slave = terminal_pair

    class Typed(Console):
        def __init__(self):
            super().__init__()
            self.typed = b""

        @property
        def live(self):
            return True

        def send(self, text):
            self.typed += text

    async def run():
        console, escaped = Typed(), asyncio.Event()
        with terminal.raw_mode(slave), terminal.keys(slave, console, lambda _: escaped.set()):
            os.write(master, b"ls\x03\x01x")
            await escaped.wait()
        return console.typed

    assert asyncio.run(run()) == b"ls\x03"


def test_end_of_input_is_no_end_of_the_machine():
    async def run():
        reading, writing = os.pipe()
        os.close(writing)
        with terminal.keys(reading, Console(), lambda _: None):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        os.close(reading)

    asyncio.run(run())

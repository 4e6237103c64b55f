import asyncio
import os

from sampan.machine.console import Console
from sampan.machine.drivers.pty import PtyTransport


def run(use):
    async def main():
        console = Console()
        transport = PtyTransport(console)
        try:
            return await asyncio.wait_for(use(console, transport), 60)
        finally:
            transport.close()

    return asyncio.run(main())


def test_what_is_said_and_typed_passes_unchanged():
    async def use(console, pty):
        os.write(pty.terminal, b"a\x03\n")
        await console.expect("a\x03\n", timeout_s=60)
        console.send("x\r\x03")
        return os.read(pty.terminal, 10)

    assert run(use) == b"x\r\x03"


def test_the_last_words_are_heard_before_the_end():
    async def use(console, pty):
        os.write(pty.terminal, b"x" * 1000)
        pty.hang_up()
        await console.closed()
        return str(console.transcript), console.live

    assert run(use) == ("x" * 1000, False)


def test_reading_can_wait():
    async def use(console, pty):
        console.pause()
        os.write(pty.terminal, b"later")
        for _ in range(5):
            await asyncio.sleep(0)
        before = str(console.transcript)
        console.resume()
        await console.expect("later", timeout_s=60)
        return before

    assert run(use) == ""


def test_more_than_the_terminal_holds_is_kept_until_it_is_read():
    sent = bytes(range(32, 127)) * 500

    async def use(console, pty):
        console.send(sent)
        assert not pty.is_closing()
        got = b""
        while len(got) < len(sent):
            got += await asyncio.to_thread(os.read, pty.terminal, 1 << 16)
        return got

    assert run(use) == sent


def test_closing_twice_and_typing_afterwards_do_nothing():
    async def use(console, pty):
        pty.close()
        pty.close()
        pty.write(b"x")
        pty.pause_reading()
        return pty.is_closing()

    assert run(use)


def test_the_terminal_has_a_name():
    async def use(console, pty):
        return os.ttyname(pty.terminal) == pty.path

    assert run(use)

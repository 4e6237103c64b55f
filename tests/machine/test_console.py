import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine.console import Console, Line, PlainText, Transcript
from sampan.machine.error import MachineEndedError


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"a\r\nb", b"a\nb"),
        (b"\x1b[1;31mred\x1b[0m", b"red"),
        (b"\x1b]0;title\x07x", b"x"),
        (b"\x1b]0;title\x1b\\x", b"x"),
        (b"\x1b(Bx\x1b=y", b"xy"),
        (b"\x1bP$q\x1bm\x1b\\x", b"x"),
        (b"\x1b[6n$ ", b"$ "),
        ("grün\r\n".encode(), "grün\n".encode()),
    ],
)
def test_plain_text(raw, plain):
    assert PlainText().feed(raw) == plain
    byte_by_byte = PlainText()
    assert b"".join(byte_by_byte.feed(bytes([byte])) for byte in raw) == plain


@given(st.binary(max_size=60), st.integers(0, 60))
def test_plain_text_in_pieces(data, cut):
    pieces = PlainText()
    assert pieces.feed(data[:cut]) + pieces.feed(data[cut:]) == PlainText().feed(data)


def test_transcript_keeps_its_last_part_and_positions():
    transcript = Transcript(limit=10)
    transcript.append(b"0123456789")
    start = transcript.end
    transcript.append(b"abcde")
    assert str(transcript) == "56789abcde"
    assert transcript.end == 15
    assert transcript.since(start) == "abcde"
    assert transcript.since(0) == "56789abcde"
    found = transcript.search(re.compile("b(c)"), start)
    assert found is not None
    match, after = found
    assert (match.text, match.groups, match.before, after) == ("bc", ("c",), "a", 13)


def test_transcript_joins_characters_cut_in_two():
    transcript = Transcript()
    for byte in "naïve ☃".encode() + b"\xff":
        transcript.append(bytes([byte]))
    assert str(transcript) == "naïve ☃�"


def test_tail():
    transcript = Transcript()
    transcript.append("".join(f"line {number}\n" for number in range(50)).encode())
    assert transcript.tail().splitlines()[0] == "    line 38"
    assert transcript.tail().splitlines()[-1] == "    line 49"


def test_expect_goes_on_after_its_last_match():
    async def run():
        console = Console()
        console.data_received(b"one two ")
        assert (await console.expect("two", timeout_s=60)).before == "one "
        asyncio.get_running_loop().call_soon(console.data_received, b"three two")
        assert (await console.expect("two", timeout_s=60)).before == " three "

    asyncio.run(run())


def test_plain_text_is_no_pattern():
    async def run():
        console = Console()
        console.data_received(b"abc a.c")
        return await console.expect("a.c", timeout_s=60)

    assert asyncio.run(run()).before == "abc "


def test_what_an_ended_machine_never_said():
    async def run():
        console = Console()
        console.data_received(b"only this")
        asyncio.get_running_loop().call_soon(console.connection_lost, None)
        with pytest.raises(MachineEndedError, match="ended without 'that'"):
            await console.expect("that", timeout_s=60)
        assert (await console.expect("this", timeout_s=60)).text == "this"
        await console.closed()
        assert not console.live
        with pytest.raises(MachineEndedError, match="cannot type"):
            console.send("x")
        console.pause()
        console.resume()

    asyncio.run(run())


def test_sinks_get_the_raw_bytes():
    async def run():
        console = Console()
        heard: list[bytes] = []
        console.attach(heard.append)
        console.data_received(b"\x1b[1mx\r\n")
        return heard

    assert asyncio.run(run()) == [b"\x1b[1mx\r\n"]


class _Transport(asyncio.Transport):
    def write(self, data):
        self.written = data


def test_a_console_outlives_processes_that_follow_one_another():
    async def scenario():
        console = Console()
        first, second = Line(console), Line(console)
        first.connection_made(_Transport())
        first.data_received(b"one\r\n")
        with console.held():
            first.connection_lost(None)
            await first.closed()
            assert not console.live
            console.skip()
            second.connection_made(_Transport())
        second.data_received(b"two\r\n")
        assert (await console.expect("two", timeout_s=60)).before == ""
        second.connection_lost(None)
        await console.closed()
        return str(console.transcript)

    assert asyncio.run(scenario()) == "one\ntwo\n"


def test_the_later_of_two_lines_is_typed_on():
    async def scenario():
        console = Console()
        first, second, keyboard = Line(console), Line(console), _Transport()
        first.connection_made(_Transport())
        second.connection_made(keyboard)
        first.connection_lost(None)
        console.send("x")
        assert keyboard.written == b"x"
        assert console.live

    asyncio.run(scenario())


def test_a_console_ends_if_nobody_followed():
    async def scenario():
        console = Console()
        line = Line(console)
        line.connection_made(_Transport())
        with console.held():
            line.connection_lost(None)
        await console.closed()

    asyncio.run(scenario())

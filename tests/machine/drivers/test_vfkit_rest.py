import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine.drivers.vfkit_rest import Change, NoAnswerError, Rest, parse_answer
from sampan.machine.error import MachineError


def ask(root, answer, use):
    """Let `use(rest)` meet a server that gives `answer`; its value, and what was asked."""
    asked = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].split()[0])
        asked.append((head.splitlines()[0], await reader.readexactly(length)))
        writer.write(answer)
        writer.close()

    async def run():
        async with await asyncio.start_unix_server(serve, root / "s"):
            return await use(Rest(root / "s"))

    return asyncio.run(run()), asked


def answer(status, value=None):
    body = b"" if value is None else json.dumps(value).encode()
    return f"HTTP/1.0 {status} Words\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_the_state(runtime_root):
    said = answer(200, {"state": "VirtualMachineStateRunning", "canStop": True})
    state, asked = ask(runtime_root, said, lambda rest: rest.state())
    assert state == "Running"
    assert asked == [("GET /vm/state HTTP/1.0", b"")]


@pytest.mark.parametrize(
    ("change", "word"),
    [(Change.PAUSE, "Pause"), (Change.RESUME, "Resume"), (Change.STOP, "Stop"), (Change.HARD_STOP, "HardStop")],
)  # fmt: skip
def test_changes(runtime_root, change, word):
    _, asked = ask(runtime_root, answer(202), lambda rest: rest.change(change))
    [(line, body)] = asked
    assert line == "POST /vm/state HTTP/1.0"
    assert json.loads(body) == {"state": word}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(500, {"error": "cannot pause"}), "vfkit refused: cannot pause"),
        (answer(404), "vfkit refused: status 404"),
        (b"HTTP/1.0 400 Bad\r\n\r\nno JSON", "vfkit refused: no JSON"),
        (b"SSH-2.0\r\n\r\n", "is no vfkit"),
        (b"", "vfkit hung up"),
        (b"HTTP/1.1 2x0\r\n\r\n", "is no vfkit"),
    ],
)
def test_refusals(runtime_root, said, why):
    with pytest.raises(MachineError, match=why):
        ask(runtime_root, said, lambda rest: rest.change(Change.PAUSE))


@pytest.mark.parametrize("said", [answer(200, {"stat": 1}), answer(200), answer(200, [])])
def test_a_state_that_makes_no_sense(runtime_root, said):
    with pytest.raises(MachineError, match="makes no sense"):
        ask(runtime_root, said, lambda rest: rest.state())


def test_nobody_there(runtime_root):
    with pytest.raises(NoAnswerError):
        asyncio.run(Rest(runtime_root / "none").state())


def test_a_server_that_hangs(runtime_root):
    async def run():
        over = asyncio.Event()

        async def hang(reader, writer):
            await over.wait()
            writer.close()

        async with await asyncio.start_unix_server(hang, runtime_root / "s"):
            with pytest.raises(NoAnswerError):
                await Rest(runtime_root / "s", deadline_s=0.02).state()
            over.set()

    asyncio.run(run())


@given(st.binary())
def test_anything_else_is_refused(data):
    try:
        status, _ = parse_answer(data)
    except MachineError:
        return
    assert 0 <= status <= 999

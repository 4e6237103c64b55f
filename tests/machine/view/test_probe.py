import asyncio

import pytest

from sampan.machine.view import probe


async def _with_server(serve, use):
    """Give `use` the port of a server that does `serve(reader, writer)`."""

    async def handle(reader, writer):
        await serve(reader, writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        return await use(server.sockets[0].getsockname()[1])


def ask(make, *, serve):
    """How one attempt fares."""
    return asyncio.run(_with_server(serve, lambda port: make(port)()))


def saying(*answers):
    """A server that reads a line first; for each connection the next of `answers`."""
    left = list(answers)

    async def serve(reader, writer):
        await reader.readline()
        writer.write(left.pop(0) if left else b"")

    return serve


async def greet(_reader, writer):
    writer.write(b"SSH-2.0-dropbear\r\n")


def test_a_server_that_speaks_first():
    assert ask(lambda port: probe.says("127.0.0.1", port), serve=greet)


def test_a_server_that_speaks_when_spoken_to():
    assert ask(lambda port: probe.says("127.0.0.1", port, b"PING\r\n"), serve=saying(b"+PONG"))
    assert not ask(lambda port: probe.says("127.0.0.1", port, b"PING\r\n"), serve=saying(b""))


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"HTTP/1.1 2000", False),
        (b"SSH-2.0-dropbear\r\n", False),
        (b"HTTP", False),
    ],
)
def test_an_http_server(answer, well):
    assert ask(lambda port: probe.serves("127.0.0.1", port, "/"), serve=saying(answer)) is well


def test_attempts_go_on_until_one_succeeds(monkeypatch):
    monkeypatch.setattr(probe, "PAUSE_S", 0)

    async def use(port):
        await probe.until(probe.says("127.0.0.1", port, b"x\n"))
        return True

    serve = saying(b"", b"", b"now")
    assert asyncio.run(_with_server(serve, use))


def test_attempts_that_hang_or_are_refused_are_made_again(monkeypatch):
    monkeypatch.setattr(probe, "PAUSE_S", 0)
    monkeypatch.setattr(probe, "FIRST_ATTEMPT_S", 0.01)
    tried: list[int] = []

    async def attempt():
        tried.append(len(tried))
        if len(tried) == 1:
            await asyncio.Event().wait()
        if len(tried) == 2:
            raise ConnectionRefusedError
        return True

    asyncio.run(probe.until(attempt))
    assert tried == [0, 1, 2]

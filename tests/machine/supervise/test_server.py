import asyncio
import json
import os
import socket
import stat
from contextlib import suppress

import msgspec
import pytest

from sampan.errors import ExitCode, SampanError, UsageError
from sampan.machine.supervise import protocol, server
from sampan.machine.supervise.client import AsyncClient
from sampan.machine.supervise.server import Server


class Greeting(msgspec.Struct, frozen=True):
    name: str
    times: int = 1


class Greeted(msgspec.Struct, frozen=True):
    text: str


async def greet(call):
    for _ in range(call.params.times - 1):
        await call.send(Greeted("hello"))
    if call.params.name == "nobody":
        raise SampanError("who?", hint="say a name")
    if call.params.name == "file":
        raise SampanError("no \udcff.img")
    if call.params.name == "novel":
        return Greeted("x" * protocol.MAX_LINE_BYTES)
    if call.params.name == "bug":
        raise KeyError("x")
    return Greeted(f"hello {call.params.name}")


async def echo(call):
    stream = call.upgrade(Greeted("go"))
    while data := await stream.read():
        stream.write(data.upper())
        await stream.drain()
    stream.write(b"bye")


@pytest.fixture
def path(runtime_root):
    return runtime_root / "control"


@pytest.fixture
def serve(path):
    """Serve greetings while a coroutine function runs with a client."""

    def served(work):
        async def main():
            made = Server()
            made.add("greet", greet, Greeting)
            made.add("echo", echo, Greeting)
            async with made.serving(path):
                return await work(AsyncClient(path), made)

        return asyncio.run(main())

    return served


def test_calls(serve, path):
    async def work(client, made):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert made.methods == ("echo", "greet")
        greeted = await client.call("greet", Greeting("you"), Greeted)
        items = [each async for each in client.stream("greet", Greeting("you", 4), Greeted)]
        return greeted, len(items)

    assert serve(work) == (Greeted("hello you"), 3)
    assert not path.exists()


def test_raw_bytes_after_an_upgrade(serve):
    async def work(client, _):
        reader, writer, result = await client.upgrade("echo", Greeting("x"))
        assert msgspec.json.decode(result) == {"text": "go"}
        writer.write(b"abc")
        assert await reader.readexactly(3) == b"ABC"
        writer.write_eof()
        rest = await reader.read()
        writer.close()
        return rest

    assert serve(work) == b"bye"


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("greet", Greeting("nobody"), 1, "who?"),
        ("greet", Greeted("x"), 2, "greet: Object missing required field `name`"),
        ("leave", Greeting("x"), 1, "this machine's sampan does not know 'leave'"),
    ],
)
def test_errors(serve, method, params, code, message):
    async def work(client, _):
        with pytest.raises(SampanError) as caught:
            await client.call(method, params, Greeted)
        return caught.value

    error = serve(work)
    assert (error.exit_code, error.message) == (code, message)


def test_a_fault_of_a_method_costs_one_answer(serve):
    async def work(client, _):
        with pytest.raises(SampanError, match="a fault of Sampan: 'x'"):
            await client.call("greet", Greeting("bug"), Greeted)
        return await client.call("greet", Greeting("you"), Greeted)

    assert serve(work).text == "hello you"


@pytest.mark.parametrize(("name", "message"), [("file", "is not UTF-8"), ("novel", "more than")])
def test_an_answer_that_cannot_be_given_costs_nothing_else(serve, name, message):
    async def work(client, _):
        with pytest.raises(SampanError, match=message):
            await client.call("greet", Greeting(name), Greeted)
        return await client.call("greet", Greeting("you"), Greeted)

    assert serve(work).text == "hello you"


async def _talk(path, data):
    """What the server answers to `data`, until it closes."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("data", [b"\n", b"GET / HTTP/1.1\n", b"\xff\n", b"x" * (2 << 20)])
def test_who_speaks_nonsense_is_left(serve, path, data):
    async def work(client, _):
        try:
            assert await _talk(path, data) == b""
        except ConnectionError:
            assert len(data) > 100  # it was closed while we were talking
        return await client.call("greet", Greeting("you"), Greeted)

    assert serve(work).text == "hello you"


def test_several_requests_on_one_connection(serve, path):
    async def work(_, __):
        reader, writer = await asyncio.open_unix_connection(str(path))
        for number in range(3):
            params = msgspec.Raw(b'{"name": "%d"}' % number)
            writer.write(protocol.emit(protocol.Request(number, "greet", params)))
        answers = [json.loads(await reader.readline()) for _ in range(3)]
        writer.close()
        return answers

    assert serve(work) == [{"id": n, "result": {"text": f"hello {n}"}} for n in range(3)]


def test_too_many_requests_at_once(serve, path):
    async def work(_, made):
        async def wait(call):
            await asyncio.get_running_loop().create_future()

        made.add("wait", wait, Greeting)
        line = protocol.emit(protocol.Request(1, "wait", msgspec.Raw(b'{"name": "x"}')))
        try:
            return await _talk(path, line * 100)
        except ConnectionError:
            return b""

    assert serve(work) == b""


def test_a_client_that_goes_ends_its_call(serve):
    async def work(client, made):
        ended = asyncio.get_running_loop().create_future()

        async def wait(call):
            await call.send(Greeted("waiting"))
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set_result(None)

        made.add("wait", wait, Greeting)
        async for _ in (stream := client.stream("wait", Greeting("x"), Greeted)):
            break
        await stream.aclose()
        async with asyncio.timeout(10):
            await ended

    serve(work)


def test_too_many_connections(serve, path, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)

    async def work(_, made):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(protocol.emit(protocol.Request(1, "echo", msgspec.Raw(b'{"name": "x"}'))))
        try:
            answer = await _talk(path, b"")
        except ConnectionError:
            answer = b""
        writer.close()
        return answer

    assert serve(work) == b""


def test_another_user_is_not_served(serve, path, monkeypatch):
    async def work(client, _):
        real = os.getuid()
        monkeypatch.setattr("os.getuid", lambda: real + 1)
        try:
            answer = await _talk(path, b"")
        except ConnectionError:
            answer = b""
        monkeypatch.undo()
        return answer

    if os.getuid():  # root is everybody
        assert serve(work) == b""


def test_the_last_answer_is_given_before_serving_ends(path, until):
    async def main():
        made = Server()
        over = asyncio.Event()

        async def wait(call):
            await over.wait()
            return Greeted("over")

        made.add("wait", wait, Greeting)
        async with asyncio.TaskGroup() as tasks:
            async with made.serving(path):
                asked = tasks.create_task(AsyncClient(path).call("wait", Greeting("x"), Greeted))
                await until(lambda: any(each.is_busy for each in made._connections))
                over.set()
        return asked.result()

    assert asyncio.run(main()).text == "over"


def test_names_are_given_once():
    made = Server()
    made.add("greet", greet, Greeting)
    with pytest.raises(ValueError, match="already"):
        made.add("greet", greet, Greeting)


def test_nobody_answers(path):
    with pytest.raises(protocol.NotAnsweringError, match="nobody answers"):
        asyncio.run(AsyncClient(path).info())
    assert issubclass(protocol.NotAnsweringError, SampanError)
    assert UsageError.exit_code is ExitCode.USAGE


def test_what_answers_is_something_else(path):
    async def main():
        async def answer(reader, writer):
            await reader.readline()
            writer.write(b"220 mail\n")
            writer.close()

        async with await asyncio.start_unix_server(answer, path):
            with pytest.raises(SampanError, match="what answers is no machine"):
                await AsyncClient(path).info()

    asyncio.run(main())
    assert socket.AF_UNIX


@pytest.mark.parametrize("turns", range(8))
def test_who_comes_when_serving_ends_is_sent_away(path, turns):
    """However far the loop has got with the connection: nobody would serve it, or end it."""
    faults = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: faults.append(what))
        with socket.socket(socket.AF_UNIX) as client:
            async with Server().serving(path):
                client.connect(str(path))
                for _ in range(turns):
                    await asyncio.sleep(0)
            client.setblocking(False)
            with suppress(ConnectionResetError):  # it was not even accepted
                assert await loop.sock_recv(client, 1) == b""

    asyncio.run(main())
    assert not faults

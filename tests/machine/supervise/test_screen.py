import asyncio

from sampan.machine.supervise import screen
from sampan.machine.supervise.client import AsyncClient


def run(supervised, steps, work):
    async def main():
        async with supervised(*steps) as (vm, path):
            async with asyncio.timeout(20):
                return await work(AsyncClient(path), vm)

    return asyncio.run(main())


def test_several_see_and_type(supervised):
    async def work(client, vm):
        await vm.console.expect("login", timeout_s=60)
        first, typing = await client.console(replay_bytes=100)
        second, watching = await client.console(replay_bytes=4, write=False)
        assert await first.readexactly(7) == b"login\r\n"
        assert await second.readexactly(4) == b"in\r\n"
        watching.write(b"ignored\r")
        typing.write(b"root\r")
        assert await first.read() == b"hello\r\n", "closed when the machine has ended"
        assert await second.read() == b"hello\r\n"
        typing.close()
        watching.close()

    run(supervised, ("say login", "await root\r", "say hello", "poweroff"), work)


def test_one_that_leaves(supervised, until):
    async def work(client, vm):
        _, writer = await client.console()
        await until(lambda: vm.screen.viewers == 1)
        writer.close()
        await until(lambda: not vm.screen.viewers)

    run(supervised, ("hang",), work)


class Viewer:
    def __init__(self):
        self.pending_bytes = 0
        self.seen = b""

    def write(self, data):
        self.seen += data


def test_one_that_is_slow_is_told_what_it_missed(supervised):
    async def work(client, vm):
        viewer = Viewer()
        vm.screen._missed[viewer] = 0
        vm.screen._said(b"one ")
        viewer.pending_bytes = screen._MAX_PENDING_BYTES + 1
        vm.screen._said(b"two ")
        vm.screen._said(b"three ")
        viewer.pending_bytes = 0
        vm.screen._said(b"four")
        assert viewer.seen == b"one \r\n[sampan: 10 bytes were not shown]\r\nfour"
        assert vm.screen.recent(8) == b"ree four"
        assert vm.screen.recent(0) == b""
        vm.screen._said(b"x" * (screen.KEPT_BYTES + 1))
        assert len(vm.screen.recent(1 << 20)) == screen.KEPT_BYTES

    run(supervised, ("hang",), work)

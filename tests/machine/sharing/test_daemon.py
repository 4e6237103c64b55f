import asyncio
import socket
import stat
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from sampan import machine
from sampan.base import proc
from sampan.errors import UnsupportedError
from sampan.machine import state
from sampan.machine.device import Owners, Share, ShareKind
from sampan.machine.drivers.qemu import Qemu, QemuDriver
from sampan.machine.error import MachineError
from sampan.machine.sharing import control
from sampan.machine.sharing import daemon as share_daemon
from sampan.machine.sharing.virtiofsd import Privilege

SHARE = Share(source=Path("/a b,c"), tag="a")


@pytest.mark.parametrize(
    ("share", "control", "more"),
    [
        (SHARE, None, ()),
        (SHARE, 9, ("--control=9",)),
        (replace(SHARE, read_only=True), 9, ("--read-only", "--control=9")),
        (replace(SHARE, owners=Owners.HOST), None, ("--owners=host",)),
    ],
)
def test_the_words_of_our_own_server(share, control, more):
    words = share_daemon.argv(share, 7, control)
    assert words[:4] == (sys.executable, "-P", "-m", "sampan.vhost.share")
    assert words[4:] == ("--fd=7", "--source=/a b,c", "--tag=a", *more)


@pytest.fixture
def program(tmp_path):
    """Makes a virtiofsd that runs the given lines of shell once somebody connects."""

    def make(lines, version="virtiofsd version 7.2 (QEMU Project)"):
        path = tmp_path / "virtiofsd"
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\n{lines}\n')
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def folder(runtime_root):
    with state.machine_folder(state.runtime_root(runtime_root)) as made:
        yield made


def start(folder, program, share=None):
    share = share or Share(source=folder.path, tag="a")
    return share_daemon.start((share,), folder, program)


@pytest.fixture(autouse=True)
def as_root(monkeypatch):
    monkeypatch.setattr(Privilege, "ours", lambda: Privilege(root=True))
    monkeypatch.setattr(share_daemon, "STOP_S", 0.2)


def test_its_socket_listens_before_it_does(folder, program):
    async def scenario():
        [daemon] = await start(folder, program("exec sleep 1000"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.path))
        assert stat.S_ISSOCK(daemon.path.stat().st_mode)
        assert daemon.fault() is None
        assert await share_daemon.stop([daemon]) is None
        assert state.Identity.of(daemon.pid) is None
        assert await share_daemon.stop([daemon]) is None  # any number of times

    asyncio.run(scenario())


def test_it_is_known_by_the_mark_of_its_machine(folder, program, monkeypatch):
    async def scenario():
        [daemon] = await start(folder, program("exit 0"))
        await daemon.ended()

    given, really = [], proc.start

    def noted(*words, **options):
        given.append(options["env"])
        return really(*words, **options)

    monkeypatch.setattr(proc, "start", noted)
    asyncio.run(scenario())
    assert given == [folder.mark]


def test_one_that_ends_says_why(folder, program):
    async def scenario():
        path = program("echo virtio_loop: noise >&2; echo cannot unshare >&2; exit 3")
        [daemon] = await start(folder, path)
        await daemon.ended()
        fault = await share_daemon.stop([daemon])
        assert str(fault) == f"cannot share {folder.path}: cannot unshare"
        assert "user namespaces" in fault.hint

    asyncio.run(scenario())


def test_our_own_server(folder, monkeypatch):
    """Here a shell, that says something through the control channel."""
    script = 'for number in 1 2; do read line <&$0; echo "{}" >&$0; done; exit 3'

    def command(share, fd, control_fd):
        return ("bash", "-c", script, str(control_fd))

    async def scenario():
        share = Share(source=folder.path, tag="a", target="/a", events=True)
        with control.opened([share]) as controls:
            [daemon] = await share_daemon.start((share,), folder, None, controls)
            await controls["a"].stage("token", [])
            await daemon.ended()
            assert "its server ended with status 3" in str(daemon.fault())
            with pytest.raises(MachineError):
                await controls["a"].stage("token", [])

    monkeypatch.setattr(share_daemon, "argv", command)
    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("more", "what"), [({"events": True}, "file events"), ({"owners": Owners.HOST}, "owners")]
)
def test_what_only_our_own_can(folder, program, more, what):
    share = Share(source=folder.path, tag="a", target="/a", **more)
    with pytest.raises(UnsupportedError, match=what) as caught:
        asyncio.run(start(folder, program(""), share))
    assert "--virtiofsd" in caught.value.instead


def test_a_read_only_share_that_cannot_be_mounted(folder, program):
    async def scenario():
        [daemon] = await start(folder, program("echo mount: wrong fs type >&2; exit 32"))
        await daemon.ended()
        assert "mounted below" in daemon.fault().hint

    asyncio.run(scenario())


def test_one_that_ends_in_silence(folder, program):
    async def scenario():
        [daemon] = await start(folder, program("kill -9 $$"))
        await daemon.ended()
        assert "its server was killed by SIGKILL" in str(daemon.fault())
        [well] = await start(folder, program("exit 0"))  # in the place of the other
        await well.ended()
        assert well.fault() is None

    asyncio.run(scenario())


def test_9p_needs_none(folder):
    async def scenario():
        share = Share(source=folder.path, tag="a", kind=ShareKind.PLAN9)
        assert await share_daemon.start((share,), folder, Path("/none")) == ()

    asyncio.run(scenario())


def test_a_machine_ends_its_daemon(scripted, runtime_root, tmp_path, program):
    async def scenario():
        async with machine.VM.launch(spec, options) as vm:
            qemu = vm._hypervisor.occupant
            assert isinstance(qemu, Qemu)
            [daemon] = qemu._back_ends
            assert f"socket,id=share0,path={daemon.path}" in vm.argv
            assert vm.argv[vm.argv.index("-append") + 1] == "sampan.share=a:virtiofs:/a"
            assert daemon.fault() is None
            return daemon.pid

    spec = scripted("hang", shares=(Share(source=tmp_path, tag="a", target="/a"),))
    options = machine.LaunchOptions(
        runtime_root=runtime_root, driver=QemuDriver(virtiofsd=program("exec sleep 1000"))
    )
    assert state.Identity.of(asyncio.run(scenario())) is None
    assert not list(runtime_root.glob("vm-*"))


def test_a_machine_whose_daemon_fails_says_so(scripted, runtime_root, tmp_path, program):
    spec = scripted("silent", shares=(Share(source=tmp_path, tag="a"),))
    driver = QemuDriver(virtiofsd=program("echo no such luck >&2; exit 1"))
    options = machine.LaunchOptions(runtime_root=runtime_root, driver=driver)
    with pytest.raises(share_daemon.ShareError, match="no such luck"):
        with machine.launch(spec, options):
            pass

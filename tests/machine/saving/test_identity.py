"""Who a machine is when it goes on: acted out. What its guest makes of it: tests/guest."""

import asyncio
import subprocess

import pytest
from msgspec.structs import replace

from sampan.machine.agent.error import NoAgentError
from sampan.machine.driver import Build
from sampan.machine.drivers.qemu_argv import mac_address
from sampan.machine.error import MachineError
from sampan.machine.model import Accelerator, Network
from sampan.machine.saving import identity
from sampan.machine.saving.suspension import File, Suspension, SuspensionError
from sampan.machine.testing import spec

WEB = replace(spec(name="web", network=Network.VHOST_USER), agent=True)
ONE = replace(WEB, name="one")
PULLED = ("set_link", {"name": "net0", "up": False})
PLUGGED = ("set_link", {"name": "net0", "up": True})


def _saved(description=WEB, *, has_agent=True):
    return Suspension(
        spec=description, driver="fake", build=Build(), accel=Accelerator.TCG,
        memory=File(name="memory-0", size_bytes=0, sha256=""), has_agent=has_agent,
    )  # fmt: skip


class Guest:
    """Takes note of what it is told, and refuses scripts that have a certain word."""

    def __init__(self, refuses=""):
        self.agent = self
        self.heard = []
        self._refuses = refuses

    async def exec(self, argv, *, check, timeout_s):
        _, _, script, _, *words = argv
        if self._refuses and self._refuses in script.removeprefix(identity._COMMON):
            raise NoAgentError("nobody is there")
        self.heard.append(tuple(words))

    async def execute(self, command, arguments=None):
        self.heard.append((command, arguments))


def _assume(saved, description, guest):
    asyncio.run(identity.assume(saved, description, guest))
    return guest.heard


def test_the_cable_is_plugged_in_when_the_address_is_its_own():
    guest = Guest()
    asyncio.run(identity.pull(guest))  # type: ignore[arg-type]  # all of it that is asked
    name, address, *rest = _assume(_saved(), ONE, guest)[1:]
    assert guest.heard[0] == PULLED
    assert (name[0], len(name[1])) == ("one", 32)
    assert address == (mac_address("web"), mac_address("one"), "yes")
    assert rest == [PLUGGED, (mac_address("one"),)]


def test_on_a_network_of_its_own_nothing_is_asked_anew():
    web, one = (replace(each, network=Network.USER) for each in (WEB, ONE))
    _, *heard = _assume(_saved(web), one, Guest())
    assert heard == [(mac_address("web"), mac_address("one"), ""), PLUGGED]


@pytest.mark.parametrize(
    "description", [WEB, replace(WEB, mac=mac_address("web").upper()), replace(WEB, mem_mib=64)]
)
def test_the_same_machine_is_told_nothing(description):
    assert not identity.changes_address(_saved(), description)
    assert _assume(_saved(), description, Guest()) == []


def test_without_a_card_there_is_only_a_name():
    web, one = (replace(each, network=Network.NONE) for each in (WEB, ONE))
    ((name, _),) = _assume(_saved(web), one, Guest())
    assert name == "one"


def test_without_an_agent_the_address_stays():
    saved = _saved(has_agent=False)
    with pytest.raises(SuspensionError, match="one would have the MAC address of web"):
        identity.changes_address(saved, ONE)
    same = replace(ONE, mac=mac_address("web"))
    alone = replace(ONE, network=Network.USER)
    for each in (same, alone):
        assert not identity.changes_address(saved, each)
        assert _assume(saved, each, Guest()) == []


def test_what_the_guest_does_not_do(caplog):
    for refused, kept in (("hostname", "has still the name"), ("udhcpc -i", "has not asked")):
        assert PLUGGED in _assume(_saved(), ONE, Guest(refused))
        assert kept in caplog.text
    guest = Guest("ip link set")
    with pytest.raises(MachineError, match="one has still the MAC address of its original"):
        _assume(_saved(), ONE, guest)
    assert PLUGGED not in guest.heard
    alone = replace(ONE, network=Network.USER)
    assert PLUGGED in _assume(_saved(), alone, guest)


def _sh(script, *words):
    argv = ["/bin/sh", "-c", identity._COMMON + script, "sh", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def test_the_functions_of_the_scripts():
    assert "lo" in _sh('cards "$1"', "00:00:00:00:00:00")
    assert _sh('cards "$1"', "02:00:00:00:00:99") == []
    mine, *found = _sh("echo $$; running no-such-name $(cat /proc/$$/comm)")
    assert mine in found


@pytest.mark.parametrize("script", [identity._NAME, identity._ADDRESS, identity._LEASE])
def test_shells_understand_the_scripts(script):
    subprocess.run(["/bin/sh", "-nc", script], check=True)

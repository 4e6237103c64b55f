"""A machine that goes on as another one: with a name, a machine id and a MAC address of its own.

Who was saved has all of these in its memory, so the guest's agent is asked to change them. Until
the address is changed the cable of its network card is pulled: no frame leaves the machine under
the address of another. Then the guest asks for a lease anew. This is done by whatever client it
runs (udhcpc is told; others ask by themselves when a cable is plugged in), or once by udhcpc if
it runs none; the lease it remembers is not given back, for it is the original's.

What it does not know: whether the network is shared with others. Only QEMU's user networking is
known to be the machine's own: there nothing is asked anew, and an address that cannot be changed
does no harm.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Protocol

from sampan.base import log
from sampan.machine import qmp
from sampan.machine.agent.client import Agent
from sampan.machine.agent.error import AgentError
from sampan.machine.driver import Hypervisor
from sampan.machine.drivers import qemu_argv
from sampan.machine.error import MachineError, MachineTimeoutError
from sampan.machine.model import MachineSpec, Network
from sampan.machine.saving.suspension import Suspension, SuspensionError

_log = log.get(__name__)
_ALONE = (Network.USER, Network.NONE)
_SCRIPT_S = 30.0

# NAME ID
_NAME = """
echo "$2" > /etc/machine-id
hostname "$1" && echo "$1" > /etc/hostname
"""

# The functions of the scripts below. `running` finds processes by name: not every guest has pidof.
_COMMON = """
running() {
    for each in /proc/[0-9]*; do
        name=
        read -r name <"$each/comm" || continue
        for wanted; do
            [ "$name" != "$wanted" ] || echo "${each##*/}"
        done
    done 2>/dev/null
}
cards() {
    for each in /sys/class/net/*; do
        [ "$(cat "$each/address" 2>/dev/null)" != "$1" ] || echo "${each##*/}"
    done
}
"""

# BEFORE AFTER ASKS: an address of IPv6 is made of the MAC, and forgotten with it
_ADDRESS = """
found=$(cards "$1")
[ "$found" ] || { echo "no network card has the address $1" >&2; exit 1; }
if [ "$3" ]; then # forget the lease; the cable is pulled, so the server does not hear of it
    for each in $(running udhcpc); do kill -USR2 "$each"; done
fi
for card in $found; do
    ipv6=/proc/sys/net/ipv6/conf/$card/disable_ipv6
    has6=$(cat "$ipv6" 2>/dev/null)
    [ "$has6" != 0 ] || echo 1 >"$ipv6"
    ip link set dev "$card" address "$2" || exit 1
    [ "$has6" != 0 ] || echo 0 >"$ipv6"
done
"""

# AFTER: without a client there is a lease only if one has ended, which is so if there is an address
_LEASE = """
pids=$(running udhcpc)
[ -z "$pids" ] || exec kill -USR1 $pids
[ -z "$(running dhclient dhcpcd systemd-network NetworkManager connmand)" ] || exit 0
client=udhcpc
command -v udhcpc >/dev/null || client="busybox udhcpc"
folder=/run/sampan-lease.$$
trap 'rm -rf "$folder"' EXIT
mkdir "$folder" && cd "$folder" || exit 1
# run as `sh bound`, because programs in /run are not always allowed to run
cat >bound <<'SCRIPT'
ip -4 addr flush dev "$interface"
ip addr add "$ip/$mask" ${broadcast:+broadcast "$broadcast"} dev "$interface"
for each in $router; do
    exec ip route replace default via "$each" dev "$interface"
done
SCRIPT
for card in $(cards "$1"); do
    ip -4 addr show dev "$card" | grep -q 'inet ' || continue
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ "$(cat "/sys/class/net/$card/carrier" 2>/dev/null)" != 1 ] || break
        sleep 0.2
    done
    $client -i "$card" -f -q -n -t 8 -T 1 -x hostname:"$(hostname)" -s /bin/sh 2>&1
done
exit 0
"""


class Machine(Protocol):
    """What is needed of a `lifecycle.VM`."""

    @property
    def agent(self) -> Agent:
        """See `VM.agent`."""

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """See `VM.execute`."""


def changes_address(saved: Suspension, spec: MachineSpec) -> bool:
    """Whether the machine `saved` has to get another MAC address to go on as `spec`.

    Raises:
        SuspensionError: it has to, but has no agent that could do that.
    """
    if spec.network is Network.NONE or mac(saved.spec) == mac(spec):
        return False
    if saved.has_agent:
        return True
    if spec.network in _ALONE:
        return False
    raise SuspensionError(
        f"{spec.name} would have the MAC address of {saved.spec.name} in its memory: "
        "no agent answered in that when it was saved, which could change it",
        hint="add the service sampan/agent to the system, or leave `mac` of the spec as it was",
    )


async def pull(machine: Hypervisor) -> None:
    """Pull the cable of the network card."""
    await machine.execute("set_link", {"name": qemu_argv.NETDEV, "up": False})


async def assume(saved: Suspension, spec: MachineSpec, machine: Machine) -> None:
    """Let the guest be `spec`; its cable is pulled (`pull`) if it `changes_address`.

    Raises:
        MachineError: it could not be given its address.
    """
    if not saved.has_agent:
        return
    if spec.name != saved.spec.name:
        await _rename(machine.agent, spec.name)
    if not changes_address(saved, spec):
        return
    asks = spec.network not in _ALONE
    try:
        await _run(machine.agent, _ADDRESS, mac(saved.spec), mac(spec), "yes" if asks else "")
    except (AgentError, MachineTimeoutError) as error:
        if asks:
            raise MachineError(
                f"{spec.name} has still the MAC address of its original: {error.message}",
                hint="save the original once more, while its agent answers",
            ) from error
        _log.warning("%s has still the MAC address of its original: %s", spec.name, error)
    await machine.execute("set_link", {"name": qemu_argv.NETDEV, "up": True})
    if asks:
        await _ask(machine.agent, spec)


async def _rename(agent: Agent, name: str) -> None:
    """Give the guest a host name and a machine id; it keeps its own if that fails."""
    try:
        await _run(agent, _NAME, name, secrets.token_hex(16))
    except (AgentError, MachineTimeoutError) as error:
        _log.warning("%s has still the name of its original: %s", name, error)


async def _ask(agent: Agent, spec: MachineSpec) -> None:
    """Let the guest ask for a lease."""
    try:
        await _run(agent, _LEASE, mac(spec))
    except (AgentError, MachineTimeoutError) as error:
        _log.warning("%s has not asked for an address of its own: %s", spec.name, error)


async def _run(agent: Agent, script: str, *words: str) -> None:
    argv = ("/bin/sh", "-c", _COMMON + script, "sh", *words)
    await agent.exec(argv, check=True, timeout_s=_SCRIPT_S)


def mac(spec: MachineSpec) -> str:
    """The MAC address that a machine boots with."""
    return (spec.mac or qemu_argv.mac_address(spec.name)).lower()

"""The policy at the way out: asked for each flow, datagram flow, ping and name of a machine.

Names count by what machines were told: an address that a machine got for `api.example` is
`api.example` to it. Who uses a bare address gets past rules about names, so a policy that has
to hold denies by default and allows by name.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.net.core.event import EchoRequested, Refusal
from sampan.net.core.flow import Flow
from sampan.net.core.udp import UdpFlow
from sampan.net.services import dnsanswer
from sampan.net.services.alias import Aliases
from sampan.net.services.dnsmodel import Client, Verdict
from sampan.net.services.hosts import Book
from sampan.net.services.policy import Decision, Policy, Protocol, Target
from sampan.net.wire.address import format_ip
from sampan.net.wire.dns import Question, ResponseCode, format_name


class Egress:
    """Gates that ask `policy`, which may be replaced at any time; flows that began go on.

    `refused` is told of each flow that may not be, and why. Names that the network answers itself
    (`book`) can always be looked up, since that tells nobody outside anything; who is behind them
    is under the same rules as everybody.
    """

    def __init__(
        self,
        policy: Policy,
        aliases: Aliases,
        now: Callable[[], float],
        refused: Callable[[Flow | UdpFlow, str], None],
        book: Book,
    ) -> None:
        self.policy = policy
        self._book = book
        self._aliases = aliases
        self._now = now
        self._refused = refused

    def flow(self, flow: Flow) -> Refusal | None:
        """A gate for TCP: what is denied is reset."""
        return self._gate(flow, Protocol.TCP, Refusal.REFUSED)

    def udp(self, flow: UdpFlow) -> Refusal | None:
        """A gate for UDP: what is denied is prohibited, by ICMP."""
        return self._gate(flow, Protocol.UDP, Refusal.PROHIBITED)

    def echo(self, request: EchoRequested) -> Refusal | None:
        """A gate for pings."""
        decision = self._decide(request.source, request.destination, 0, Protocol.ICMP)
        return None if decision.allowed else Refusal.PROHIBITED

    def admits(self, flow: Flow, name: str) -> bool:
        """Whether a flow may go to a host of this name, which its requests or its TLS name."""
        policy, remote = self.policy, flow.remote
        if not policy.rules and policy.default_allow:
            return True
        known = self._aliases.names(flow.guest.address, remote.address, self._now())
        target = Target(
            address=format_ip(remote.address), port=remote.port, protocol=Protocol.TCP,
            names=(name.lower().rstrip("."), *known),
        )  # fmt: skip
        return policy.decide(target).allowed

    def name(self, client: Client, question: Question) -> Verdict | None:
        """A gate for names: those nobody could be reached by are refused."""
        if self.policy.may_resolve(format_name(question.name)).allowed:
            return None
        if dnsanswer.local(question, self._book) is not None:
            return None
        return Verdict(answer=dnsanswer.failure(ResponseCode.REFUSED))

    def _gate(self, flow: Flow | UdpFlow, protocol: Protocol, refusal: Refusal) -> Refusal | None:
        if not self.policy.rules and self.policy.default_allow:
            return None
        remote = flow.remote
        decision = self._decide(flow.guest.address, remote.address, remote.port, protocol)
        if decision.allowed:
            return None
        self._refused(flow, _verdict(decision))
        return refusal

    def _decide(self, machine: bytes, address: bytes, port: int, protocol: Protocol) -> Decision:
        names = self._aliases.names(machine, address, self._now())
        return self.policy.decide(
            Target(address=format_ip(address), port=port, protocol=protocol, names=names)
        )


def _verdict(decision: Decision) -> str:
    if decision.rule is None:
        return "policy: denied by default"
    return f"policy: denied by {decision.rule.name or 'a rule'}"

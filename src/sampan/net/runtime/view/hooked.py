"""What hooks say, carried out: flows refused, led elsewhere, made to wait, read as HTTP; names.

    outbound.gates.detour.insert(0, hooked.detour)      TCP: before the host's proxy
    outbound.gates.udp.append(hooked.udp)
    outbound.gates.echo.append(hooked.echo)
    dns.gates.append(hooked.name)                       names

As long as there are hooks for HTTP requests, TCP flows lead through a `Relay` with a `Gate`
between its ends, which costs some speed; without them nothing stands in the way. The host's
side is connected before a machine is answered, also when a hook answers its requests.

Not supported: delays and other addresses for UDP and pings, which are refused then; and hooks
for requests that go by way of the host's proxy, which are not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sampan.base.loop import Loop, Timer
from sampan.net.core.event import EchoRequested, Refusal
from sampan.net.core.flow import Flow
from sampan.net.core.udp import UdpFlow
from sampan.net.hook import FlowInfo, Kind, Resolve, Respond
from sampan.net.runtime.host.race import Address
from sampan.net.runtime.host.relay import Relay
from sampan.net.runtime.host.route import Target
from sampan.net.runtime.host.transform import PLAIN
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.runtime.view.inquiry import Inquiry, Verdict
from sampan.net.runtime.view.translate import (
    answer_of,
    head_of,
    query_of,
    question_of,
    refusal,
    reply_of,
    request_of,
)
from sampan.net.services import dnsanswer
from sampan.net.services.dnsmodel import Client
from sampan.net.services.dnsmodel import Verdict as NameVerdict
from sampan.net.services.httpdetect import Language
from sampan.net.services.httpgate import Decision, Gate, Output
from sampan.net.services.httphead import RequestHead
from sampan.net.wire.address import format_ip, parse_ip
from sampan.net.wire.dns import Question, ResponseCode
from sampan.net.wire.error import MalformedError

_SPOKEN_WITHOUT_US = (Language.HTTP2, Language.TLS, Language.OTHER)


@dataclass(frozen=True)
class Knowledge:
    """What is known beside the flows themselves."""

    names: Callable[[bytes, bytes], tuple[str, ...]] = lambda machine, address: ()
    machine_name: Callable[[bytes], str] = lambda address: ""
    refused: Callable[[Flow | UdpFlow, str], None] = lambda flow, verdict: None


class Hooked:
    """Stands between machines and `outbound`."""

    def __init__(
        self, outbound: HostOutbound, inquiry: Inquiry, knowledge: Knowledge | None = None
    ) -> None:
        self._outbound = outbound
        self._loop = outbound.engine.loop
        self._inquiry = inquiry
        self._knowledge = knowledge or Knowledge()

    def detour(self, flow: Flow, target: Target, now: float) -> bool:
        """A TCP flow begins: see `outbound.Detour`."""
        hooks = self._inquiry.hooks
        reads = bool(hooks.of(Kind.HTTP_REQUEST))
        if not reads and not hooks.of(Kind.FLOW):
            return False
        info = self._info("tcp", flow.guest.address, flow.remote.address)
        info = info.replace(source_port=flow.guest.port, port=flow.remote.port)
        verdict = self._inquiry.flow(info)
        if verdict.refused is not None:
            self._knowledge.refused(flow, f"hook: {verdict.refused}")
            flow.refuse(Refusal.REFUSED, now)
            return True
        if not reads and not verdict.delay_s and verdict.subject == info:
            return False
        if verdict.delay_s:
            self._loop.call_at(now + verdict.delay_s, lambda: self._go(flow, verdict, target))
        else:
            self._go(flow, verdict, target)
        return True

    def udp(self, flow: UdpFlow) -> Refusal | None:
        """A UDP flow begins: see `outbound.UdpGate`."""
        info = self._info("udp", flow.guest.address, flow.remote.address)
        info = info.replace(source_port=flow.guest.port, port=flow.remote.port)
        reason = self._only_yes_or_no(info)
        if reason is None:
            return None
        self._knowledge.refused(flow, f"hook: {reason}")
        return Refusal.REFUSED

    def echo(self, request: EchoRequested) -> Refusal | None:
        """A machine pings somebody: see `outbound.EchoGate`."""
        reason = self._only_yes_or_no(self._info("icmp", request.source, request.destination))
        return None if reason is None else Refusal.PROHIBITED

    def name(self, client: Client, question: Question) -> NameVerdict | None:
        """A machine looks a name up: see `service.dns.Gate`."""
        if not self._inquiry.hooks.of(Kind.DNS):
            return None
        query = query_of(client, question, self._knowledge.machine_name(client.address))
        verdict = self._inquiry.dns(query)
        if verdict.refused is not None:
            answer = dnsanswer.failure(ResponseCode.REFUSED)
            return NameVerdict(answer=answer, delay_s=verdict.delay_s)
        asked = question if verdict.subject == query else question_of(verdict.subject)
        if isinstance(verdict.answer, Resolve):
            return NameVerdict(answer=answer_of(asked, verdict.answer), delay_s=verdict.delay_s)
        if asked is question and not verdict.delay_s:
            return None
        changed = None if asked is question else asked
        return NameVerdict(question=changed, delay_s=verdict.delay_s)

    def _only_yes_or_no(self, info: FlowInfo) -> str | None:
        """Why it may not be; None if it may."""
        if not self._inquiry.hooks.of(Kind.FLOW):
            return None
        verdict = self._inquiry.flow(info)
        if verdict.refused is None and (verdict.delay_s or verdict.subject != info):
            return f"{info.protocol} can neither wait nor be led elsewhere"
        return verdict.refused

    def _info(self, protocol: str, machine: bytes, address: bytes) -> FlowInfo:
        return FlowInfo(
            machine=format_ip(machine),
            machine_name=self._knowledge.machine_name(machine),
            protocol=protocol,
            address=format_ip(address),
            names=self._knowledge.names(machine, address),
        )

    def _go(self, flow: Flow, verdict: Verdict[FlowInfo], target: Target) -> None:
        """Lead the flow where it may go; it may have ended while it waited."""
        now, info = self._loop.now(), verdict.subject
        if not flow.is_alive:
            return
        if parse_ip(info.address) != flow.remote.address:
            found = self._outbound.router.target(parse_ip(info.address))
            if found is None:
                flow.refuse(Refusal.HOST_UNREACHABLE, now)
                return
            target = found
        elif self._others_take(flow, target, now):
            return
        if self._inquiry.hooks.of(Kind.HTTP_REQUEST):
            session = _HttpSession(self._loop, self._inquiry, info)
            session.begin(self._outbound, flow, Address(target.family, (target.address, info.port)))
        else:
            self._outbound.connect(flow, target, info.port, now)

    def _others_take(self, flow: Flow, target: Target, now: float) -> bool:
        """Whether a detour behind this one, such as the host's proxy, takes the flow."""
        detours = self._outbound.gates.detour
        behind = detours[detours.index(self.detour) + 1 :] if self.detour in detours else []
        return any(detour(flow, target, now) for detour in behind)


class _HttpSession:
    """One flow whose requests are shown to hooks: a gate, and the relay that it stands in."""

    def __init__(self, loop: Loop, inquiry: Inquiry, info: FlowInfo) -> None:
        self._loop = loop
        self._inquiry = inquiry
        self._info = info
        self._gate = Gate(self._decide)
        self._timer: Timer | None = None
        self._holds = False

    def begin(self, outbound: HostOutbound, flow: Flow, address: Address) -> None:
        """Join the flow and the host's side."""
        relay = self._relay = Relay(
            self._loop, outbound.engine.stack, flow,
            up=_Up(self), down=_Down(self), tap=outbound.watch_flow(flow),
        )  # fmt: skip
        relay.when_over = self._over
        relay.connect([address])

    def sent(self, data: bytes) -> bytes:
        """From the machine."""
        output = self._gate.sent(data)
        self._relay.send_down(output.to_machine)
        self._settle()
        return output.to_host

    def sent_end(self) -> bytes:
        """The machine will say no more."""
        return self._gate.sent_end().to_host

    def received(self, data: bytes) -> bytes:
        """From the host."""
        output = self._gate.received(data)
        self._pass(output)
        return b""

    def _pass(self, output: Output) -> None:
        self._relay.send_up(output.to_host)
        self._relay.send_down(output.to_machine)
        self._settle()

    def _settle(self) -> None:
        """Do to the relay what the gate's state asks for."""
        gate, relay = self._gate, self._relay
        if gate.is_closing:
            relay.finish()
        elif gate.is_holding:
            self._holds = True
            relay.hold()
            if gate.hold_s is not None and self._timer is None:
                when = self._loop.now() + gate.hold_s
                self._timer = self._loop.call_at(when, self._waited)
        else:
            if gate.language in _SPOKEN_WITHOUT_US:
                relay.up = relay.down = PLAIN
            if self._holds:
                self._holds = False
                relay.release()

    def _waited(self) -> None:
        self._timer = None
        if self._relay.is_over:
            return
        try:
            self._pass(self._gate.release())
        except MalformedError:
            self._relay.reset()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _decide(self, head: RequestHead) -> Decision:
        request = request_of(head, self._info)
        verdict = self._inquiry.http_request(request)
        if verdict.refused is not None:
            return Decision(reply=refusal(verdict.refused), delay_s=verdict.delay_s)
        if isinstance(verdict.answer, Respond):
            return Decision(reply=reply_of(verdict.answer), delay_s=verdict.delay_s)
        changed = None if verdict.subject == request else head_of(verdict.subject)
        return Decision(head=changed, delay_s=verdict.delay_s)


class _Up:
    """From the machine to the host: see `host.transform`."""

    def __init__(self, session: _HttpSession) -> None:
        self._session = session

    def received(self, data: bytes) -> bytes:
        return self._session.sent(data)

    def finished(self) -> bytes:
        return self._session.sent_end()


class _Down:
    """From the host to the machine."""

    def __init__(self, session: _HttpSession) -> None:
        self._session = session

    def received(self, data: bytes) -> bytes:
        return self._session.received(data)

    def finished(self) -> bytes:
        return b""

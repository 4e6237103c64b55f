"""Hooks that watch, delay, rewrite, answer and refuse what machines do on the network.

    sampan net serve --listen qemu:/tmp/vm.sock --hooks examples/net/hooks.py

Run by itself, it asks its own hooks about some cases, which is also a way to test yours:

    python examples/net/hooks.py
"""

import json
import sys

from sampan.net import hook

SLOW = ("/checkout", "/search")


@hook.on_flow
def no_mail(flow: hook.FlowInfo) -> hook.Answer:
    """Machines send no mail, whoever asks them to."""
    if flow.port in (25, 465, 587):
        return hook.Refuse(f"no mail to {flow.names[0] if flow.names else flow.address}")
    return None


@hook.on_flow
def staging(flow: hook.FlowInfo) -> hook.Answer:
    """What is meant for production goes to the host's port 8080."""
    if "api.example.com" in flow.names and flow.protocol == "tcp":
        return hook.Rewrite(flow.replace(address="192.168.65.254", port=8080))
    return None


@hook.on_dns
def test_names(query: hook.DnsQuery) -> hook.Answer:
    """Names under `.test` are the host."""
    if query.name.endswith(".test"):
        return hook.Resolve(("192.168.65.254",))
    return None


@hook.on_http_request
def log(request: hook.HttpRequest) -> hook.Answer:
    """Say what is asked for."""
    print(f"{request.flow.machine} {request.method} {request.url}", file=sys.stderr)
    return None


@hook.on_http_request
def flags(request: hook.HttpRequest) -> hook.Answer:
    """Answer in the server's place."""
    if request.target == "/flags":
        body = json.dumps({"new_design": True}).encode()
        return hook.Respond(200, body, (("Content-Type", "application/json"),))
    return None


@hook.on_http_request
def slow(request: hook.HttpRequest) -> hook.Answer:
    """A server that takes its time."""
    return hook.Delay(2) if request.target.startswith(SLOW) else None


@hook.on_http_request
def say_who(request: hook.HttpRequest) -> hook.Answer:
    """Let the server know which machine asked."""
    return hook.Rewrite(request.with_header("X-Machine", request.flow.machine))


def main():
    """Ask the hooks about some cases."""
    flow = hook.FlowInfo(
        machine="192.168.65.3",
        protocol="tcp",
        address="192.0.2.7",
        port=25,
        names=("mail.example",),
    )
    request = hook.HttpRequest(flow=flow, method="GET", target="/flags", host="shop.example")
    query = hook.DnsQuery(machine="192.168.65.3", name="shop.test", kind="A")
    for asked, about in (
        (no_mail, flow),
        (flags, request),
        (say_who, request),
        (test_names, query),
    ):
        print(f"{asked.name}: {asked(about)}")
    assert no_mail(flow) == hook.Refuse("no mail to mail.example")
    assert say_who(request).to.header("x-machine") == "192.168.65.3"
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Every name and connection takes as long as it would from far away.

    sampan net serve --listen qemu:/tmp/vm.sock --hooks examples/net/latency.py

A hook may keep what it likes between calls: hooks are asked one after the other.
"""

from collections import Counter

from sampan.net import hook

ROUND_TRIP_S = 0.15
connections: Counter[str] = Counter()


@hook.on_flow
def far_away(flow):
    """The handshake takes a round trip more; UDP and pings cannot be made to wait."""
    connections[flow.names[0] if flow.names else flow.address] += 1
    return hook.Delay(ROUND_TRIP_S) if flow.protocol == "tcp" else None


@hook.on_dns
def far_resolver(query):
    """So does a name."""
    return hook.Delay(ROUND_TRIP_S)


def main():
    """Show what the hooks say."""
    for protocol in ("tcp", "udp"):
        flow = hook.FlowInfo(machine="192.168.65.3", protocol=protocol, address="192.0.2.7")
        print(f"{protocol}: {far_away(flow)}")
    print(f"connections so far: {dict(connections)}")
    assert connections == {"192.0.2.7": 2}
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

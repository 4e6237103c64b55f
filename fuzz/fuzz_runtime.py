"""Fuzz target: the guest's reading of `runtime.json` and `config.json`, and the mounts they mean."""

from __future__ import annotations

import contextlib

from sampan.guest.agent import mount, netlink
from sampan.guest.agent.document import parse_config, parse_runtime
from sampan.guest.agent.fault import AgentError


def one(data: bytes) -> None:
    """Read `data` as both documents; what can be read can be planned."""
    with contextlib.suppress(AgentError):
        parse_config(data, "config.json")
    try:
        runtime = parse_runtime(data, "runtime.json")
    except AgentError:
        return  # a proper refusal; the guest has no SampanError
    for each in runtime.mounts:
        assert mount.folders(each, "/root")
        mount.calls(each, "/root")
    for interface in runtime.interfaces:
        assert netlink.messages(interface, 1)

"""The counters as Prometheus reads them (text exposition format 0.0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sampan.net.runtime.control import model

_OF_LINKS = {
    "frames": "frames", "dropped": "frames_dropped", "sent": "sent_bytes",
    "received": "received_bytes",
}  # fmt: skip
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


def text(
    network: str, stats: model.Stats, links: tuple[model.LinkRecord, ...], forwards: int
) -> str:
    """All counters of a network; `network` becomes a label."""
    return "".join(_lines(network, stats, links, forwards))


def _lines(
    network: str, stats: model.Stats, links: tuple[model.LinkRecord, ...], forwards: int
) -> Iterator[str]:
    label = f'network="{_escaped(network)}"'
    yield from _one("uptime_seconds", "gauge", label, stats.uptime_s)
    yield from _one("forwards", "gauge", label, forwards)
    for name, value in stats.gauges.items():
        yield from _one(name, "gauge", label, value)
    for name, value in stats.counters.items():
        yield from _one(f"{name}_total", "counter", label, value)
    for field, name in _OF_LINKS.items():
        yield f"# TYPE sampan_net_link_{name}_total counter\n"
        for link in links:
            labels = f'{label},link="{_escaped(link.name)}",id="{link.id}"'
            yield f"sampan_net_link_{name}_total{{{labels}}} {getattr(link, field)}\n"


def _one(name: str, kind: str, label: str, value: float) -> Iterator[str]:
    full = f"sampan_net_{_NOT_A_NAME.sub('_', name)}"
    yield f"# TYPE {full} {kind}\n"
    yield f"{full}{{{label}}} {value}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

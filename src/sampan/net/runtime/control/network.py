"""What the control API asks of a network. `runtime.assembly` has it; tests have another.

All of it is called in the thread of the network's loop, and returns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sampan.net.runtime.control import model
from sampan.net.runtime.control.message import Source, Takeover
from sampan.net.runtime.service.dhcp import LeaseRecord
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.services.forward import Forward
from sampan.net.services.policy import Policy


class Controlled(Protocol):
    """A running network, as far as it can be controlled from outside its process."""

    def info(self) -> model.NetworkRecord:
        """What it is."""

    def forwards(self) -> tuple[Forward, ...]:
        """Those that listen."""

    def expose(self, forward: Forward) -> Forward:
        """Begin to listen; the forward with its port filled in."""

    def unexpose(self, forward: Forward) -> Forward:
        """Listen no more where `forward` does; the one that was there."""

    def flows(self) -> tuple[FlowRecord, ...]:
        """The flows there are."""

    def leases(self) -> tuple[LeaseRecord, ...]:
        """The leases that run."""

    def links(self) -> tuple[model.LinkRecord, ...]:
        """The links that are plugged in."""

    def add_link(self, asked: model.LinkAsked) -> model.LinkAsked:
        """Let machines connect at one more place; it is there when this returns."""

    def remove_link(self, asked: model.LinkAsked) -> None:
        """End what was added by `add_link`; machines that connected to a socket there stay."""

    def stats(self) -> model.Stats:
        """The counters."""

    def names(self) -> tuple[model.NameRecord, ...]:
        """The names that were added."""

    def add_name(self, name: model.NameRecord) -> None:
        """Answer a name from now on, instead of what it had."""

    def remove_name(self, name: str) -> None:
        """Answer it no more."""

    def reservations(self) -> tuple[model.Reservation, ...]:
        """The addresses that belong to one machine alone."""

    def reserve(self, asked: model.Reservation) -> model.Reservation:
        """Keep an address for a machine that will come; which one."""

    def end_reservation(self, mac: str) -> None:
        """Keep it no longer; a machine that has it goes on using it."""

    def captures(self) -> tuple[model.CaptureRecord, ...]:
        """The captures to files that run."""

    def start_capture(self, asked: model.CaptureAsked) -> model.CaptureRecord:
        """Begin to write frames to a file."""

    def stop_capture(self, capture: str) -> None:
        """End a capture."""

    def stream_capture(self, asked: model.CaptureStream, wake: Callable[[], None]) -> Source:
        """Capture to whoever asked; what does not fit is lost, and counted."""

    def policy(self) -> Policy:
        """What machines may reach."""

    def replace_policy(self, policy: Policy) -> None:
        """Let another policy hold, for flows that begin from now on."""

    def events(self, after: int, limit: int) -> Sequence[model.EventRecord]:
        """The first so many events after that number of those that are still kept."""

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when there are new events; call what is returned to end it."""

    def view_http(self) -> None:
        """Follow HTTP in flows that begin from now on; exchanges become events."""

    def tunnel(self, asked: model.TunnelAsked) -> Takeover:
        """Lead the client's own connection to a port of a machine."""

    def connect(self) -> Takeover:
        """Make the client's own connection a link."""

    def stop(self) -> None:
        """End the network, after this turn."""

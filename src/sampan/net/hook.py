"""Hooks: functions of yours that see what machines do on the network, and may change it.

One that does both::

    from sampan.net import hook

    @hook.on_http_request
    def no_tracking(request: hook.HttpRequest) -> hook.Answer:
        if request.host.endswith(".ads.example"):
            return hook.Refuse("no advertisements here")
        return hook.Rewrite(request.with_header("DNT", "1"))

A hook gets a frozen value and answers with one of::

    None             nothing to say: the next hook is asked
    Allow()          it may pass: no further hook is asked
    Refuse(reason)   it may not: a connection is reset, a name refused, a request answered by 403
    Delay(seconds)   it has to wait, then the next hook is asked
    Rewrite(to)      the next hook, and the world, see `to` instead (a changed copy of the value)
    Respond(…)       to an HTTP request: this is the response, the server is not asked
    Resolve(…)       to a DNS query: these are the addresses

Hooks are asked in the order in which they were added, in the network's own thread: one that
blocks stops the network (and is named in the log). One that raises costs the flow it was asked
about. They are no fence: what is not understood as HTTP, or is encrypted, they are not asked
about. What must hold is the policy's to say.

Pure: who asks, and carries the answers out, is `net.runtime.view`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from sampan.errors import UsageError

MAX_DELAY_S = 3600.0
_Subject = TypeVar("_Subject")


class FlowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A machine wants to reach somebody. Rewritten, `address` and `port` lead elsewhere.

    `names` are those by which the machine learnt the address, the latest first.
    """

    machine: str  # its address
    machine_name: str = ""
    protocol: str  # tcp, udp, icmp
    source_port: int = 0
    address: str
    port: int = 0
    names: tuple[str, ...] = ()

    def replace(self, **changes: Any) -> FlowInfo:  # noqa: ANN401  any of the fields
        """A copy with other values."""
        return msgspec.structs.replace(self, **changes)


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in clear text. Its body is not there, and passes as it is.

    `host` is empty for a request without Host header. Rewriting it replaces that header;
    the connection leads where it led.
    """

    flow: FlowInfo
    method: str
    target: str
    version: str = "HTTP/1.1"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        """What is asked for, as a URL."""
        if self.method == "CONNECT" or not self.target.startswith(("/", "*")):
            return self.target
        return f"http://{self.host or self.flow.address}{self.target.removeprefix('*')}"

    def header(self, name: str) -> str | None:
        """The value of the first header of that name, in any case; None if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def replace(self, **changes: Any) -> HttpRequest:  # noqa: ANN401  any of the fields
        """A copy with other values."""
        return msgspec.structs.replace(self, **changes)

    def with_header(self, name: str, value: str) -> HttpRequest:
        """A copy with this header, instead of those of that name."""
        return self.replace(headers=(*self.without_header(name).headers, (name, value)))

    def without_header(self, name: str) -> HttpRequest:
        """A copy without the headers of that name."""
        kept = tuple(each for each in self.headers if each[0].lower() != name.lower())
        return self.replace(headers=kept)


class DnsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A machine asks for a name. `kind` is A, AAAA, MX, …, or TYPE65 as numbers go."""

    machine: str
    machine_name: str = ""
    name: str
    kind: str
    over_tcp: bool = False

    def replace(self, **changes: Any) -> DnsQuery:  # noqa: ANN401  any of the fields
        """A copy with other values."""
        return msgspec.structs.replace(self, **changes)


class Allow(msgspec.Struct, frozen=True):
    """It may pass, whatever the hooks behind this one would say."""


class Refuse(msgspec.Struct, frozen=True):
    """It may not pass."""

    reason: str = "refused by a hook"


class Delay(msgspec.Struct, frozen=True):
    """It has to wait, at most an hour."""

    seconds: float

    def __post_init__(self) -> None:
        """Check the number.

        Raises:
            UsageError: it is no time to wait.
        """
        if not 0 <= self.seconds <= MAX_DELAY_S:
            raise UsageError(f"a delay of {self.seconds} seconds", hint="0 to 3600 are possible")


class Rewrite(msgspec.Struct, Generic[_Subject], frozen=True):
    """Go on with `to`."""

    to: _Subject


class Respond(msgspec.Struct, frozen=True):
    """The response to an HTTP request. Its length is added to `headers`."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class Resolve(msgspec.Struct, frozen=True):
    """The addresses of a name; none: it has none of that kind."""

    addresses: tuple[str, ...] = ()
    ttl_s: int = 60


Answer: TypeAlias = (
    Allow
    | Refuse
    | Delay
    | Rewrite[FlowInfo]
    | Rewrite[HttpRequest]
    | Rewrite[DnsQuery]
    | Respond
    | Resolve
    | None
)


class Kind(StrEnum):
    """What a hook is asked about."""

    FLOW = "flow"
    HTTP_REQUEST = "http request"
    DNS = "dns query"


@dataclass(frozen=True, slots=True)
class Hook(Generic[_Subject]):
    """A function and what it is asked about. It can be called like the function."""

    kind: Kind
    function: Callable[[_Subject], Answer]

    def __call__(self, subject: _Subject) -> Answer:
        """Ask it."""
        return self.function(subject)

    @property
    def name(self) -> str:
        """Where it is from and what it is called, for messages."""
        function = self.function
        return (
            f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"
        )


def on_flow(function: Callable[[FlowInfo], Answer]) -> Hook[FlowInfo]:
    """Decorates a hook that is asked when a machine opens a connection or sends datagrams."""
    return Hook(Kind.FLOW, function)


def on_http_request(function: Callable[[HttpRequest], Answer]) -> Hook[HttpRequest]:
    """Decorates a hook that is asked about each request of HTTP in clear text."""
    return Hook(Kind.HTTP_REQUEST, function)


def on_dns(function: Callable[[DnsQuery], Answer]) -> Hook[DnsQuery]:
    """Decorates a hook that is asked when a machine looks a name up."""
    return Hook(Kind.DNS, function)


class Hooks:
    """The hooks of a network, in the order in which they are asked. May change at any time."""

    def __init__(self, hooks: Iterable[Hook[Any]] = ()) -> None:
        self._hooks: tuple[Hook[Any], ...] = ()
        for each in hooks:
            self.add(each)

    def add(self, hook: Hook[Any]) -> None:
        """Ask this one too, after the others. One that is there already is not asked twice.

        Raises:
            UsageError: it is no hook.
        """
        if not isinstance(hook, Hook):
            raise UsageError(
                f"{hook!r} is no hook", hint="decorate it with on_flow, on_http_request or on_dns"
            )
        if hook not in self._hooks:
            self._hooks = (*self._hooks, hook)

    def remove(self, hook: Hook[Any]) -> None:
        """Ask this one no more. Nothing happens if it is not there."""
        self._hooks = tuple(each for each in self._hooks if each != hook)

    def of(self, kind: Kind) -> tuple[Hook[Any], ...]:
        """Those that are asked about this kind."""
        return tuple(each for each in self._hooks if each.kind is kind)

    def __iter__(self) -> Iterator[Hook[Any]]:
        return iter(self._hooks)

    def __len__(self) -> int:
        return len(self._hooks)


def collect(namespace: Mapping[str, object]) -> tuple[Hook[Any], ...]:
    """The hooks that a module defines, in the order of its names; each once."""
    found = (each for each in namespace.values() if isinstance(each, Hook))
    return tuple(dict.fromkeys(found))

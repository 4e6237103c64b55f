"""The reference of the machine kit's Python interface, written from the code.

Docstrings are shown as they stand: they are Markdown enough. What is listed here is what the other
pages use; of `sampan.machine` itself it is all that it offers.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sampan import machine

_WIDTH = 88
_STARS: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_ENTERED = {"Iterator": "AbstractContextManager", "AsyncIterator": "AbstractAsyncContextManager"}


class Room(NamedTuple):
    """Some names of a module, and what they are for."""

    module: str
    about: str
    names: tuple[str, ...]


ROOMS = (
    Room("sampan.machine", "Machines: what they are, and their life.", tuple(machine.__all__)),
    Room(
        "sampan.desktop.bundle", "Systems that were built, as specs.", ("spec", "BundleError")
    ),
    Room(
        "sampan.machine.view.readiness", "Conditions for `LaunchOptions.ready` and `vm.wait_ready`.",
        ("console", "answers", "http", "agent", "vsock", "happened", "stage", "in_order", "all_of",
         "any_of", "NotReadyError"),
    ),
    Room("sampan.machine.console", "What `vm.console` gives.", ("Console", "Match")),
    Room(
        "sampan.machine.view.event", "What `vm.events` gives.",
        ("State", "StateChanged", "PowerButtonPressed", "Rebooted", "Panicked", "DiskError",
         "AgentUp", "AgentDown", "Saved", "Restored", "Moved", "ClockStepped", "Ended", "Missed"),
    ),
    Room(
        "sampan.machine.view.metrics", "What `vm.metrics` gives.",
        ("Metrics", "CpuThread", "DiskCounters", "InterfaceCounters"),
    ),
    Room("sampan.machine.view.prometheus", "The same as text.", ("render",)),
    Room(
        "sampan.machine.agent", "Programs and files in the guest: `vm.agent`.",
        ("Agent", "Command", "Window", "Program", "ExecResult", "Listening", "ExecError",
         "AgentError", "NoAgentError", "AgentLostError", "AgentTimeoutError"),
    ),
    Room("sampan.machine.agent.blocking", "The same without asyncio.", ("BlockingAgent",)),
    Room(
        "sampan.machine.agent.client", "What `exec` takes besides the words.", ("ExecOptions",)
    ),
    Room(
        "sampan.machine.vsock", "Sockets between host and guest: `vm.vsock`.",
        ("Endpoint", "BlockingEndpoint", "VsockRefusedError"),
    ),
    Room(
        "sampan.machine.storage.disk", "Files for disks.",
        ("parse", "prepare", "prepare_all", "facts", "Wanted", "Facts", "DiskError"),
    ),
    Room(
        "sampan.machine.storage.metadata", "Discs that tell machines who they are.",
        ("disc", "nocloud", "write"),
    ),
    Room(
        "sampan.machine.document", "Specs as JSON and YAML.",
        ("load", "to_json", "from_json", "to_yaml", "from_yaml"),
    ),
    Room(
        "sampan.machine.saving.suspension", "Machines that were saved.",
        ("read", "is_saved", "verify", "remove", "Suspension", "SuspensionError"),
    ),
    Room(
        "sampan.machine.saving.clone", "Clones, for asyncio; `machine.clones` is the same without.",
        ("clones",),
    ),
    Room("sampan.machine.driver", "What drivers can do.", ("Capability",)),
    Room(
        "sampan.machine.testing", "Machines that act, for unit tests.",
        tuple(importlib.import_module("sampan.machine.testing").__all__),
    ),
    Room(
        "sampan.machine.registry.store", "The machines of `sampan ps`.",
        ("Store", "NoSuchMachineError"),
    ),
    Room("sampan.machine.registry.record", "What is known of each.", ("Record", "Status", "Run")),
    Room(
        "sampan.machine.supervise.blocking", "A machine that another process runs.", ("Client",)
    ),
    Room("sampan.machine.supervise.client", "The same for asyncio.", ("AsyncClient",)),
    Room(
        "sampan.machine.error", "What goes wrong; all are `sampan.errors.SampanError`.",
        ("MachineError", "MachineTimeoutError", "MachineEndedError"),
    ),
)  # fmt: skip


def write(folder: Path) -> None:
    """Write the reference into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "machine-api.md").write_text("\n".join(_all()) + "\n")


def _all() -> Iterator[str]:
    for room in ROOMS:
        module = importlib.import_module(room.module)
        yield f"## {room.module}\n\n{room.about}\n"
        for name in room.names:
            yield from _named(name, getattr(module, name))


def _named(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    yield f"### {name}\n"
    if not inspect.isclass(value):
        if callable(value):
            yield _signature(name, value)
            yield _text(value)
        else:  # the name of a type, such as a union
            yield f"```python\n{name} = {value}\n```\n"
        return
    if issubclass(value, Exception):
        yield f"A `{value.__mro__[1].__name__}`.\n"
    yield _text(value)
    yield from _fields(value)
    for method, given in vars(value).items():
        if not method.startswith("_") and method not in getattr(value, "__struct_fields__", ()):
            yield from _method(name, method, given)


def _method(owner: str, name: str, given: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(given, property | functools.cached_property):
        getter = given.fget if isinstance(given, property) else given.func
        kind = inspect.signature(getter).return_annotation  # type: ignore[arg-type]  # it has one
        yield f"#### {owner}.{name}\n\n```python\n{name}: {kind}\n```\n"
        yield _text(getter)
        return
    plain = given.__func__ if isinstance(given, classmethod | staticmethod) else given
    if inspect.isfunction(plain):
        yield f"#### {owner}.{name}\n"
        yield _signature(name, plain, is_method=not isinstance(given, staticmethod))
        yield _text(plain)


def _signature(name: str, function: Any, *, is_method: bool = False) -> str:  # noqa: ANN401
    """The first lines of a definition, as it would be typed; a block says what it gives."""
    shape = inspect.signature(function)
    given = list(shape.parameters.values())[1 if is_method else 0 :]
    result = str(shape.return_annotation).removeprefix("typing.")
    if hasattr(function, "__wrapped__"):
        result = re.sub(r"^\w+", lambda found: _ENTERED.get(found[0], found[0]), result)
    word = "async def" if inspect.iscoroutinefunction(function) else "def"
    words = list(_parameters(given))
    line = f"{word} {name}({', '.join(words)}) -> {result}"
    if len(line) > _WIDTH:
        line = f"{word} {name}(\n    {f',{chr(10)}    '.join(words)},\n) -> {result}"
    return f"```python\n{line}\n```\n"


def _parameters(given: list[inspect.Parameter]) -> Iterator[str]:
    marked = False
    for each in given:
        if each.kind is each.KEYWORD_ONLY and not marked:
            yield "*"
        marked = marked or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        star = _STARS.get(each.kind, "")
        default = "" if each.default is each.empty else f" = {_default(each.default)}"
        yield f"{star}{each.name}: {each.annotation}{default}"


def _fields(kind: type) -> Iterator[str]:
    rows = list(_values(kind))
    if rows:
        yield "| field | type | default |\n|---|---|---|"
        yield from (f"| `{name}` | {_cell(of)} | {_cell(default)} |" for name, of, default in rows)
        yield ""


def _values(kind: type) -> Iterator[tuple[str, str, str]]:
    """The fields of a value: name, type, default. The members of an enumeration are such, too."""
    if issubclass(kind, Enum):
        yield from ((each.name, repr(each.value), "") for each in kind)
        return
    types = {
        name: str(text) for base in reversed(kind.__mro__)
        for name, text in inspect.get_annotations(base).items()
    }  # fmt: skip
    if issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield field.name, types[field.name], _default(field.default, field.default_factory)
    elif dataclasses.is_dataclass(kind):
        for each in dataclasses.fields(kind):
            yield each.name, types[each.name], _default(each.default, each.default_factory)
    elif hasattr(kind, "_field_defaults"):  # a named tuple
        for name, of in types.items():
            yield name, of, _default(kind._field_defaults.get(name, msgspec.NODEFAULT))
    elif hasattr(kind, "__required_keys__"):  # a typed dictionary
        yield from ((name, of, "") for name, of in types.items())


def _default(value: object, factory: object = None) -> str:
    if value in (msgspec.NODEFAULT, dataclasses.MISSING):
        is_made = factory not in (None, msgspec.NODEFAULT, dataclasses.MISSING)
        return f"{getattr(factory, '__name__', factory)}()" if is_made else ""
    return repr(value.value) if isinstance(value, Enum) else repr(value)


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _text(value: object) -> str:
    """A docstring, with its list of errors as a list."""
    text = inspect.getdoc(value) or ""
    head, raises, errors = text.partition("\nRaises:\n")
    if not raises:
        return f"{text}\n"
    listed = re.sub(r"^([\w, .]+): ", r"- `\1`: ", textwrap.dedent(errors), flags=re.MULTILINE)
    return f"{head}\nRaises:\n\n{listed}\n"

"""`runtime.json` and the parts of `config.json` the guest needs, as values.

`runtime.json` is what LinuxKit's `service` reads: what to do around a container that the OCI
configuration cannot say. `config.json` belongs to the OCI runtime; we read where its root is
and Sampan's two annotations. Pure; the only error is `DocumentError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sampan.guest.agent.fault import DocumentError

TYPE_CHECKING = False  # importing `typing` costs more than this whole module
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

SIZE_LIMIT = 4 << 20  # bytes of a document
RESTART = "dev.sampan.restart"
ON_FAILURE = "dev.sampan.onfailure"
RESTART_CHOICES = ("no", "on-failure", "always")
ON_FAILURE_CHOICES = ("continue", "stop")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


class Mount:
    """A mount to make before the container; a relative destination is inside its root."""

    __slots__ = ("destination", "options", "source", "type")

    def __init__(self, destination: str, type_: str, source: str, options: tuple[str, ...]) -> None:
        self.destination = destination
        self.type = type_
        self.source = source
        self.options = options


class Interface:
    """A network interface for the container's network namespace.

    Without `add` an existing one is moved; with it one of that kind is made, in the root
    namespace first when `create_in_root`. `peer` is the other end of a veth, which stays.
    """

    __slots__ = ("add", "create_in_root", "name", "peer")

    def __init__(self, name: str, add: str, peer: str, create_in_root: bool) -> None:
        self.name = name
        self.add = add
        self.peer = peer
        self.create_in_root = create_in_root


class Runtime:
    """A whole `runtime.json`. `bind_namespaces` are pairs of a namespace and a file's path."""

    __slots__ = ("bind_namespaces", "cgroups", "interfaces", "mkdir", "mounts", "namespace")

    def __init__(
        self,
        *,
        cgroups: tuple[str, ...] = (),
        mounts: tuple[Mount, ...] = (),
        mkdir: tuple[str, ...] = (),
        interfaces: tuple[Interface, ...] = (),
        bind_namespaces: tuple[tuple[str, str], ...] = (),
        namespace: str = "",
    ) -> None:
        self.cgroups = cgroups
        self.mounts = mounts
        self.mkdir = mkdir
        self.interfaces = interfaces
        self.bind_namespaces = bind_namespaces
        self.namespace = namespace

    @property
    def needs_process(self) -> bool:
        """Whether something has to be done between the creation and the start of the process."""
        return bool(self.interfaces or self.bind_namespaces)


class Config:
    """What the guest reads of a `config.json`: `raw` is the whole document."""

    __slots__ = ("on_failure", "raw", "restart", "root")

    def __init__(self, raw: dict[str, Any], root: str, restart: str, on_failure: str) -> None:
        self.raw = raw
        self.root = root
        self.restart = restart
        self.on_failure = on_failure


def parse_runtime(data: bytes, where: str) -> Runtime:
    """The values of a `runtime.json`; missing keys and `null` mean nothing to do.

    Raises:
        DocumentError: not JSON, or of another shape; the message names `where` and the key.
    """
    tree = _object(data, where)
    bound = _field(tree, "bindNS", where, {}, dict)
    return Runtime(
        cgroups=_strings(tree, "cgroups", where),
        mounts=_list(tree, "mounts", where, _mount),
        mkdir=_strings(tree, "mkdir", where),
        interfaces=_list(tree, "interfaces", where, _interface),
        bind_namespaces=tuple(
            (name, path)
            for name in NAMESPACES
            if (path := _field(bound, name, f"{where}: bindNS", "", str))
        ),
        namespace=_field(tree, "namespace", where, "", str),
    )


def parse_config(data: bytes, where: str) -> Config:
    """What the guest needs of an OCI `config.json`.

    Raises:
        DocumentError: not JSON, of another shape, or an annotation with a value we do not know.
    """
    tree = _object(data, where)
    root = _field(_field(tree, "root", where, {}, dict), "path", where, "rootfs", str)
    annotations = _field(tree, "annotations", where, {}, dict)
    restart = _choice(annotations, RESTART, where, "on-failure", RESTART_CHOICES)
    on_failure = _choice(annotations, ON_FAILURE, where, "continue", ON_FAILURE_CHOICES)
    return Config(tree, root, restart, on_failure)


def _object(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > SIZE_LIMIT:
        raise DocumentError(f"{where}: larger than {SIZE_LIMIT} bytes")
    try:
        tree = json.loads(data)
        json.dumps(tree, ensure_ascii=False).encode()  # half characters (\ud800) name nothing
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{where}: not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise DocumentError(f"{where}: not a JSON object")
    return tree


def _mount(tree: Mapping[str, Any], where: str) -> Mount:
    destination = _field(tree, "destination", where, "", str)
    if not destination:
        raise DocumentError(f"{where}: a mount needs a destination")
    kind = _field(tree, "type", where, "", str)
    source = _field(tree, "source", where, "", str)
    return Mount(destination, kind, source, _strings(tree, "options", where))


def _interface(tree: Mapping[str, Any], where: str) -> Interface:
    name = _field(tree, "name", where, "", str)
    # 15 is the kernel's limit (IFNAMSIZ with its NUL), and it counts bytes
    if not 0 < len(name.encode(errors="replace")) <= 15:
        raise DocumentError(f"{where}: {name!r} is no name of an interface (1 to 15 bytes)")
    return Interface(
        name,
        _field(tree, "add", where, "", str),
        _field(tree, "peer", where, "", str),
        _field(tree, "createInRoot", where, False, bool),
    )


def _field(tree: Mapping[str, Any], key: str, where: str, default: T, kind: type[T]) -> T:
    value = tree.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise DocumentError(f"{where}: {key} is not {_KINDS[kind]}")
    return value


_KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def _list(
    tree: Mapping[str, Any], key: str, where: str, parse: Callable[[Mapping[str, Any], str], T]
) -> tuple[T, ...]:
    parsed = []
    for index, item in enumerate(_field(tree, key, where, [], list)):
        place = f"{where}: {key}[{index}]"
        if not isinstance(item, dict):
            raise DocumentError(f"{place} is not an object")
        parsed.append(parse(item, place))
    return tuple(parsed)


def _strings(tree: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    items = _field(tree, key, where, [], list)
    if not all(isinstance(item, str) for item in items):
        raise DocumentError(f"{where}: {key} is not a list of strings")
    return tuple(items)


def _choice(
    tree: Mapping[str, Any], key: str, where: str, default: str, choices: tuple[str, ...]
) -> str:
    value = _field(tree, key, f"{where}: annotations", default, str)
    if value not in choices:
        raise DocumentError(f"{where}: {key} is {value!r}, not one of {', '.join(choices)}")
    return value

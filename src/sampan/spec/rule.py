"""Rules that concern more than one value: within a record, and across merged documents.

Each is a small function that notes faults; `check` runs them all. What one value must be is
the business of `text` and `shape`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from msgspec import UNSET

from sampan.spec import guess
from sampan.spec.document import Document
from sampan.spec.model import Container, ContainerDefaults, Device, File, Mount, Volume
from sampan.spec.source import Hint
from sampan.spec.text import Bind

# What a mount leaves out can be told from the rest (linuxkit.md 2.3).
_TELLING_TYPES = frozenset({"mqueue", "devpts", "proc", "sysfs", "cgroup"})
_TELLING_PLACES = frozenset(
    {"/dev", "/dev/mqueue", "/dev/pts", "/proc", "/sys", "/sys/fs/cgroup"}
)  # fmt: skip


def check(documents: Sequence[Document]) -> None:
    """Note in each document what is wrong with it, given all of them in the order of merging."""
    names = {container.name for d in documents for _, _, container in d.spec.containers()}
    volumes = {volume.name: volume for d in documents for volume in d.spec.volumes}
    # A volume whose own entry is faulty is unknown; that its users then miss it is no news.
    whole = not any(p.path.startswith("volumes") for d in documents for p in d.faults.problems)
    services: dict[str, tuple[object, str]] = {}
    declared: dict[str, tuple[object, str]] = {}
    for document in documents:
        for volume in document.spec.volumes:
            _unique(document, volume, "volume", declared)
            _volume(document, volume)
        for section, _, container in document.spec.containers():
            if section == "services":
                _unique(document, container, "service", services)
            _policies(document, section, container)
            _settings(document, container)
            _ids(document, container, names)
            _bound(document, container, volumes, whole=whole)
        for file in document.spec.files:
            _ids(document, file, names)
            if document.clean(file):
                _file(document, file)


def bound_fault(
    source: str, *, writable: bool, volumes: Mapping[str, Volume]
) -> tuple[str, Hint] | None:
    """What is wrong with showing `source`, a path or one of `volumes`: message and hint.

    Also for binds that come from an image's label, which no document holds.
    """
    volume = volumes.get(source)
    if volume is None:
        if source.startswith("/"):
            return None
        advice = "declare it under volumes:, or write an absolute path"
        return f"there is no volume {source[:80]!r}", partial(_meant, source, volumes, advice)
    if volume.readonly is True and writable:
        return f"the volume {source!r} is read-only", "add the option ro"
    return None


def _unique(
    document: Document, value: Container | Volume, what: str, seen: dict[str, tuple[object, str]]
) -> None:
    first, where = seen.setdefault(value.name, (value, document.where(value)))
    if first is not value:
        message = f"there are two {what}s named {value.name!r}"
        document.fault(value, "name", message, f"the first is at {where}")


def _volume(document: Document, volume: Volume) -> None:
    if volume.format == "oci":
        if not volume.image and document.clean(volume):
            document.fault(volume, "format", "format oci needs an image")
    elif volume.platforms and document.clean(volume):
        document.fault(volume, "platforms", "platforms need format: oci")


def _policies(document: Document, section: str, container: Container) -> None:
    if container.restart and section != "services":
        document.fault(container, "restart", f"restart is for services, not for {section}")
    if container.onfailure and section != "onboot":
        document.fault(container, "onfailure", f"onfailure is for onboot, not for {section}")


def _settings(document: Document, container: ContainerDefaults) -> None:
    for key, names in (
        ("capabilities", container.capabilities),
        ("capabilities.add", container.capabilities_add),
        ("ambient", container.ambient),
    ):
        if names and "none" in names and len(set(names)) > 1:
            document.fault(container, key, "'none' stands alone", "remove it, or the others")
    for device in container.devices or ():
        if document.clean(device):
            _device(document, device)
    for mount in container.mounts or ():
        if document.clean(mount):
            _mount(document, mount)


def _device(document: Document, device: Device) -> None:
    if device.path == "all":
        return
    if not device.path.startswith("/"):
        document.fault(device, "path", f"{device.path[:80]!r} must be 'all' or an absolute path")
    elif device.type == "a":
        document.fault(device, "type", "type a is for the path 'all'", "say b, c, u or p")
    elif device.type != "p" and not (_given(device.major) and _given(device.minor)):
        document.fault(device, "", "a device node needs major and minor")


def _mount(document: Document, mount: Mount) -> None:
    kind = mount.type or mount.source
    if not mount.destination and kind not in _TELLING_TYPES:
        document.fault(mount, "destination", "the mount needs a destination")
    inferred = mount.source in _TELLING_TYPES or mount.destination in _TELLING_PLACES
    if not mount.type and not mount.bound and not inferred:
        document.fault(mount, "type", "the mount needs a type", "say tmpfs, bind, proc, …")


def _ids(document: Document, value: Container | File, names: set[str]) -> None:
    given = [("uid", value.uid), ("gid", value.gid)]
    if isinstance(value, Container):
        given += [("additionalGids", gid) for gid in value.additional_gids or ()]
    for key, name in given:
        if isinstance(name, str) and name not in names:
            hint = partial(_meant, name, names, "write a number, or the name of a container")
            document.fault(value, key, f"no container is named {name[:80]!r}", hint)


def _bound(
    document: Document, container: Container, volumes: dict[str, Volume], *, whole: bool
) -> None:
    uses: list[tuple[Bind | Mount, str, str, bool]] = [
        (bind, "", bind.source, bind.writable)
        for bind in (*(container.binds or ()), *(container.binds_add or ()))
    ]
    uses += [
        (mount, "source", mount.bound, "ro" not in (mount.options or ()))
        for mount in container.mounts or ()
        if mount.bound
    ]
    for value, key, source, writable in uses:
        found = bound_fault(source, writable=writable, volumes=volumes)
        if found and (whole or source in volumes):
            document.fault(value, key, *found)


def _file(document: Document, file: File) -> None:
    """The rules of linuxkit.md 2.8, and that a link has no contents."""
    kinds = [key for key in ("directory", "symlink") if getattr(file, key)]
    fillings = [key for key in ("contents", "source", "metadata") if _given(getattr(file, key))]
    if len(kinds) > 1:
        document.fault(file, "symlink", "a file is a directory or a symlink, not both")
    elif kinds and fillings:
        message = f"a {kinds[0]} has no {fillings[0]}"
        document.fault(file, fillings[0], message, f"remove {fillings[0]}, or {kinds[0]}")
    elif len(fillings) > 1:
        message = f"{fillings[1]} cannot stand beside {fillings[0]}"
        document.fault(file, fillings[1], message, f"keep one of {' and '.join(fillings)}")
    elif not kinds and not fillings:
        hint = "add contents, source or metadata, or say directory: true or symlink: TARGET"
        document.fault(file, "", "the file has nothing to be made of", hint)


def _meant(word: str, words: Collection[str], otherwise: str) -> str:
    return guess.hint(word, words) or otherwise


def _given(value: object) -> bool:
    return value is not UNSET

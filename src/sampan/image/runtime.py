"""config.json and runtime.json of a container (linuxkit.md 2.3).

Pure: settings, image config and names in, documents out. The order of keys is LinuxKit's, so
that the same container gives the same bytes. What is done better: a bind mount in `mounts` may
name a volume too, and a writable mount of a read-only volume is refused there as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from sampan.errors import DocumentError, Problem
from sampan.image import gojson, idmap
from sampan.oci.model import ContainerConfig
from sampan.spec import capability
from sampan.spec.model import (
    BindNS,
    ContainerDefaults,
    Device,
    IdMapping,
    Interface,
    Mount,
    Runtime,
    Volume,
)
from sampan.spec.rule import bound_fault
from sampan.spec.shape import Maybe

RESTART = "dev.sampan.restart"
ON_FAILURE = "dev.sampan.onfailure"
_OCI_VERSION = "1.2.1"
_BIND_OPTIONS = ("rw", "rbind", "rshared")

_Json = dict[str, Any]
_PLAIN = {  # destinations and sources that a mount's type tells, and the other way round
    "tmpfs": ("", "tmpfs"),
    "mqueue": ("/dev/mqueue", "mqueue"),
    "devpts": ("/dev/pts", "devpts"),
    "proc": ("/proc", "proc"),
    "sysfs": ("/sys", "sysfs"),
    "cgroup": ("/sys/fs/cgroup", "cgroup"),
}
_TYPES = {destination: kind for kind, (destination, _) in _PLAIN.items()} | {"/dev": "tmpfs"}


class Place(msgspec.Struct, frozen=True):
    """Where a container is in the image, and where the first copy of its files is.

    `folder` is `/containers/services/NAME`, `lower` the folder of the files: that of this
    container or of an earlier one of the same image.
    """

    folder: str
    lower: str


class Context(msgspec.Struct, frozen=True):
    """What a container's names refer to; `path` is its place in the document."""

    path: str
    ids: Mapping[str, int]
    volumes: Mapping[str, Volume]


def config_json(settings: ContainerDefaults, image: ContainerConfig, context: Context) -> bytes:
    """The OCI runtime configuration.

    Raises:
        DocumentError: there is nothing to run, a name is unknown, a volume is read-only.
    """
    readonly = settings.readonly is True
    document: _Json = {
        "ociVersion": _OCI_VERSION,
        "process": _process(settings, image, context),
        "root": {"path": "rootfs", **({"readonly": True} if readonly else {})},
    }
    document |= _given(hostname=settings.hostname)
    document["mounts"] = _mounts(settings, context, readonly=readonly)
    document |= _given(annotations=_annotations(settings))
    document["linux"] = _linux(settings)
    return gojson.encode(document)


def runtime_json(settings: ContainerDefaults, place: Place) -> bytes:
    """What the guest does around the container, its root filesystem first."""
    runtime = settings.runtime if isinstance(settings.runtime, Runtime) else Runtime()
    mounts = _root_mounts(place, readonly=settings.readonly is True)
    mounts += [_mount(mount) for mount in runtime.mounts or ()]
    names = runtime.bind_ns if isinstance(runtime.bind_ns, BindNS) else BindNS()
    return gojson.encode(
        {
            "cgroups": list(runtime.cgroups or ()),
            "mounts": mounts,
            "mkdir": list(runtime.mkdir or ()),
            "interfaces": [_interface(one) for one in runtime.interfaces or ()],
            "bindNS": {name: getattr(names, name) or "" for name in BindNS.__struct_fields__},
            "namespace": runtime.namespace or "",
        }
    )


def _given(**values: object) -> _Json:
    """The values that say something: not unset, empty or false."""
    return {key: value for key, value in values.items() if value is not UNSET and value}


def _process(settings: ContainerDefaults, image: ContainerConfig, context: Context) -> _Json:
    command = image.entrypoint + image.cmd if settings.command is UNSET else settings.command
    if not command:
        raise _fault(context, "command", "there is nothing to run", "give it a command")
    groups = [
        idmap.resolve(gid, context.ids, f"{context.path}.additionalGids")
        for gid in settings.additional_gids or ()
    ]
    user = {
        "uid": idmap.resolve(settings.uid, context.ids, f"{context.path}.uid"),
        "gid": idmap.resolve(settings.gid, context.ids, f"{context.path}.gid"),
        **_given(additionalGids=groups),
    }
    process: _Json = {"user": user, "args": list(command)}
    process |= _given(env=list((image.env if settings.env is UNSET else settings.env) or ()))
    process["cwd"] = settings.cwd or image.working_dir or "/"
    process["capabilities"] = _capabilities(settings)
    limits = [
        {"type": limit.name, "hard": limit.hard, "soft": limit.soft}
        for limit in settings.rlimits or ()
    ]
    process |= _given(rlimits=limits, noNewPrivileges=settings.no_new_privileges)
    if settings.oom_score_adj is not UNSET:
        process["oomScoreAdj"] = settings.oom_score_adj
    return process


def _capabilities(settings: ContainerDefaults) -> _Json:
    granted = capability.expand(settings.capabilities or ())
    ambient = capability.expand(settings.ambient or ())
    return _given(
        bounding=sorted({*granted, *ambient}),
        effective=list(granted),
        inheritable=sorted(granted),
        permitted=sorted(granted),
        ambient=list(ambient),
    )


def _mounts(settings: ContainerDefaults, context: Context, *, readonly: bool) -> list[_Json]:
    mounts = {mount["destination"]: mount for mount in _default_mounts(readonly=readonly)}
    for tmpfs in settings.tmpfs or ():
        mounts[tmpfs.destination] = {
            "destination": tmpfs.destination,
            "type": "tmpfs",
            "source": "tmpfs",
            **_given(options=list(tmpfs.options)),
        }
    for bind in settings.binds or ():
        mounts[bind.destination] = {
            "destination": bind.destination,
            "type": "bind",
            "source": _source(bind.source, context, "binds", writable=bind.writable),
            "options": [*bind.options, "rbind"] if bind.options else list(_BIND_OPTIONS),
        }
    for given in settings.mounts or ():
        mount = _mount(given)
        if given.bound:
            writable = "ro" not in (given.options or ())
            mount["source"] = _source(given.bound, context, "mounts", writable=writable)
        mounts[mount["destination"]] = mount
    return [mounts[destination] for destination in sorted(mounts)]


def _default_mounts(*, readonly: bool) -> list[_Json]:
    ro = ["ro"] if readonly else []
    table: list[tuple[str, str, list[str]]] = [
        ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k", *ro]),
        ("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        ("/proc", "proc", ["nosuid", "nodev", "noexec", "relatime"]),
        ("/sys", "sysfs", ["nosuid", "noexec", "nodev", *ro]),
        ("/sys/fs/cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
    return [
        {"destination": destination, "type": kind, "source": kind, "options": options}
        for destination, kind, options in table
    ]


def _mount(mount: Mount) -> _Json:
    """A mount with what is plain from its other fields filled in."""
    kind, source, destination = mount.type or "", mount.source or "", mount.destination or ""
    if not kind:
        kind = source if source in _PLAIN else _TYPES.get(destination, "")
    if kind in _PLAIN:
        usual, name = _PLAIN[kind]
        destination = destination or usual
        source = source or name
    return {
        "destination": destination,
        **_given(
            type=kind,
            source=source,
            options=list(mount.options or ()),
            uidMappings=_mappings(mount.uidmappings),
            gidMappings=_mappings(mount.gidmappings),
        ),
    }


def _source(source: str, context: Context, key: str, *, writable: bool) -> str:
    fault = bound_fault(source, writable=writable, volumes=context.volumes)
    if fault is not None:
        message, hint = fault
        raise _fault(context, key, message, hint() if callable(hint) else hint)
    return f"/containers/volumes/{source}/merged" if source in context.volumes else source


def _annotations(settings: ContainerDefaults) -> _Json:
    annotations = dict(settings.annotations or ())
    annotations |= _given(**{RESTART: settings.restart, ON_FAILURE: settings.onfailure})
    return dict(sorted(annotations.items()))


def _linux(settings: ContainerDefaults) -> _Json:
    nodes = [device for device in settings.devices or () if device.path != "all"]
    return {
        **_given(
            uidMappings=_mappings(settings.uid_mappings),
            gidMappings=_mappings(settings.gid_mappings),
            sysctl=dict(sorted(settings.sysctl or ())),
        ),
        "resources": _resources(settings),
        **_given(
            cgroupsPath=settings.cgroups_path,
            namespaces=_namespaces(settings),
            devices=[_device(device) for device in nodes],
            rootfsPropagation=settings.rootfs_propagation,
            maskedPaths=list(settings.masked_paths or ()),
            readonlyPaths=list(settings.readonly_paths or ()),
        ),
    }


def _resources(settings: ContainerDefaults) -> _Json:
    plain: _Json = {} if settings.resources is UNSET else msgspec.to_builtins(settings.resources)
    if "blockio" in plain:  # the key of the runtime specification is written differently
        plain = {"blockIO" if key == "blockio" else key: plain[key] for key in plain}
    rules = [_device_rule(device) for device in settings.devices or ()]
    if rules:
        plain = {"devices": [*plain.pop("devices", ()), *rules], **plain}
    return plain


def _device(device: Device) -> _Json:
    node = {
        "path": device.path,
        "type": device.type,
        "major": device.major or 0,
        "minor": device.minor or 0,
    }
    if device.mode is not UNSET and device.mode is not None:
        node["fileMode"] = device.mode.bits
    return node


def _device_rule(device: Device) -> _Json:
    rule: _Json = {"allow": True, "type": device.type}
    for name in ("major", "minor"):
        number = getattr(device, name)
        if device.path != "all" or number is not UNSET:
            rule[name] = number or 0
    return rule | {"access": "rwm"}


def _namespaces(settings: ContainerDefaults) -> list[_Json]:
    table: Sequence[tuple[str, Maybe[str], str]] = (
        ("network", settings.net, "host"),
        ("ipc", settings.ipc, "host"),
        ("uts", settings.uts, "host"),
        ("pid", settings.pid, "new"),
        ("user", settings.userns, "host"),
    )
    spaces: list[_Json] = []
    for kind, given, default in table:
        value = given or default
        if value in ("new", "none"):
            spaces.append({"type": kind})
        elif value not in ("host", "root"):
            spaces.append({"type": kind, "path": value})
    return [*spaces, {"type": "mount"}]


def _mappings(mappings: Maybe[tuple[IdMapping, ...]]) -> list[_Json]:
    return [
        {"containerID": one.container_id, "hostID": one.host_id, "size": one.size}
        for one in mappings or ()
    ]


def _interface(one: Interface) -> _Json:
    names = _given(name=one.name, add=one.add, peer=one.peer)
    return {**names, "createInRoot": one.create_in_root is True}


def _root_mounts(place: Place, *, readonly: bool) -> list[_Json]:
    rootfs = f"{place.folder}/rootfs"
    if readonly:
        return [{"destination": rootfs, "source": place.lower, "options": ["bind"]}]
    tmp = f"{place.folder}/tmp"
    layers = (f"lowerdir={place.lower}", f"upperdir={tmp}/upper", f"workdir={tmp}/work")
    return [
        {"destination": tmp, "type": "tmpfs", "source": "tmpfs"},
        {"destination": tmp, "options": ["remount", "private"]},
        {"destination": rootfs, "type": "overlay", "source": "overlay", "options": list(layers)},
    ]


def _fault(context: Context, key: str, message: str, hint: str | None) -> DocumentError:
    return DocumentError([Problem(f"{context.path}.{key}", message, hint=hint)])

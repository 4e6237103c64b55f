"""The YAML file as values: what to build, before anything is looked up or read.

Every key of linuxkit.md 2.1, the keys of 2017 files (`trust`, `outputs`) and Sampan's own
(`restart`, `onfailure`). Immutable, pure, and free of files, positions and images. A key that
was not given is `msgspec.UNSET`, so that a label's value can stand in for it; an empty list
is a list that was given. The strings beside the types are the descriptions editors show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET

from sampan.spec import capability, text
from sampan.spec.resource import DEVICE_NUMBER, UINT32, DeviceType, Resources
from sampan.spec.shape import Maybe, Pairs, Part, Range, Text

ImageName: TypeAlias = Annotated[str, Text(text.image_name, r"^\S+$", template=True)]
ContainerName: TypeAlias = Annotated[
    str, Text(text.container_name, r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,75}$")
]
VolumeName: TypeAlias = Annotated[str, Text(text.volume_name, r"^[a-z0-9_-]{1,128}$")]
TreePath: TypeAlias = Annotated[str, Text(text.tree_path)]
Namespace: TypeAlias = Annotated[
    str, Text(text.namespace, "^(|host|root|new|none|/.*)$", text.NAMESPACE_WORDS[1:])
]
Capability: TypeAlias = Annotated[
    str, Text(capability.parse, "^[A-Za-z_]+$", (*capability.WORDS, *capability.ALL))
]
BindText: TypeAlias = Annotated[text.Bind, Text(text.Bind.parse, "^[^:]+:/[^:]*(:[^:]+)?$")]
TmpfsText: TypeAlias = Annotated[text.Tmpfs, Text(text.Tmpfs.parse, "^/[^:]*(:[^:]+)?$")]
RlimitText: TypeAlias = Annotated[text.Rlimit, Text(text.Rlimit.parse, "^[^,]+,[^,]+,[^,]+$")]
ModeText: TypeAlias = Annotated[text.Mode, Text(text.Mode.parse, "^[0-7]{1,5}$", digits=True)]
IdName: TypeAlias = int | str
"""A numeric id, or the name of a container, which stands for the id that is given to it."""
Id: TypeAlias = Annotated[IdName, UINT32]
Restart: TypeAlias = Literal["no", "on-failure", "always"]
OnFailure: TypeAlias = Literal["continue", "stop"]


class Kernel(Part, frozen=True):
    """The kernel, and how it is started."""

    image: Annotated[Maybe[ImageName], "image that holds the kernel"] = UNSET
    cmdline: Annotated[Maybe[str], "the kernel's command line"] = UNSET
    binary: Annotated[Maybe[str], "file of the kernel in the image; 'kernel' if not given"] = UNSET
    tar: Annotated[
        Maybe[str], "tar of modules in the image; 'kernel.tar' if not given, 'none' for none"
    ] = UNSET
    ucode: Annotated[Maybe[str], "CPU microcode in the image, put before the initrd"] = UNSET


class IdMapping(Part, frozen=True, rename={"container_id": "containerID", "host_id": "hostID"}):
    """A range of ids of a user namespace."""

    container_id: Annotated[int, UINT32, "first id inside"]
    host_id: Annotated[int, UINT32, "first id outside"]
    size: Annotated[int, UINT32, "how many"]


class Mount(Part, frozen=True, rename="lower"):
    """A mount, as in the OCI runtime specification."""

    destination: Annotated[Maybe[str], "where; may be left out when the type tells"] = UNSET
    type: Annotated[Maybe[str], "file system, or bind; may be left out when it is plain"] = UNSET
    source: Annotated[Maybe[str], "device, path, or (type bind) the name of a volume"] = UNSET
    options: Annotated[Maybe[tuple[str, ...]], "mount options"] = UNSET
    uidmappings: Annotated[Maybe[tuple[IdMapping, ...]], "user ids of the mount"] = UNSET
    gidmappings: Annotated[Maybe[tuple[IdMapping, ...]], "group ids of the mount"] = UNSET

    @property
    def bound(self) -> str | None:
        """The path or volume that a bind mount shows; None for any other mount."""
        kinds = {"bind", "rbind"}
        named = self.type == "bind" or (not self.type and kinds & set(self.options or ()))
        return self.source or None if named else None


class Device(Part, frozen=True):
    """A device node of the container; path `all` allows all devices of a type."""

    path: Annotated[str, "the node's path, or 'all'"]
    type: Annotated[DeviceType, "b block, c or u character, p pipe, a all"]
    major: Annotated[Maybe[int], DEVICE_NUMBER, "the major number"] = UNSET
    minor: Annotated[Maybe[int], DEVICE_NUMBER, "the minor number"] = UNSET
    mode: Annotated[Maybe[ModeText], "octal, in quotes: '0666'"] = UNSET


class Interface(Part, frozen=True):
    """A network interface that is moved or added before the container starts."""

    name: Annotated[Maybe[str], "its name"] = UNSET
    add: Annotated[Maybe[str], "create it, of this type: veth, wireguard, dummy, …"] = UNSET
    peer: Annotated[Maybe[str], "name of the other end of a veth"] = UNSET
    create_in_root: Annotated[Maybe[bool], "create it in the root namespace, then move it"] = UNSET


class BindNS(Part, frozen=True):
    """Where the namespaces of the container are kept, so that others can join them."""

    cgroup: Annotated[Maybe[str], "path for the cgroup namespace"] = UNSET
    ipc: Annotated[Maybe[str], "path for the IPC namespace"] = UNSET
    mnt: Annotated[Maybe[str], "path for the mount namespace"] = UNSET
    net: Annotated[Maybe[str], "path for the network namespace"] = UNSET
    pid: Annotated[Maybe[str], "path for the PID namespace"] = UNSET
    user: Annotated[Maybe[str], "path for the user namespace"] = UNSET
    uts: Annotated[Maybe[str], "path for the UTS namespace"] = UNSET


class Runtime(Part, frozen=True, rename={"bind_ns": "bindNS"}):
    """What the guest does around the container: runtime.json."""

    cgroups: Annotated[Maybe[tuple[str, ...]], "cgroups to make first"] = UNSET
    mounts: Annotated[Maybe[tuple[Mount, ...]], "mounts to make first"] = UNSET
    mkdir: Annotated[Maybe[tuple[str, ...]], "folders to make first"] = UNSET
    interfaces: Annotated[Maybe[tuple[Interface, ...]], "interfaces to move or add"] = UNSET
    bind_ns: Annotated[Maybe[BindNS], "where to keep its namespaces"] = UNSET
    namespace: Annotated[Maybe[str], "containerd namespace; services.linuxkit if not given"] = UNSET


class ContainerDefaults(
    Part,
    frozen=True,
    rename={
        "capabilities_add": "capabilities.add",
        "binds_add": "binds.add",
        "masked_paths": "maskedPaths",
        "readonly_paths": "readonlyPaths",
        "additional_gids": "additionalGids",
        "no_new_privileges": "noNewPrivileges",
        "oom_score_adj": "oomScoreAdj",
        "rootfs_propagation": "rootfsPropagation",
        "cgroups_path": "cgroupsPath",
        "uid_mappings": "uidMappings",
        "gid_mappings": "gidMappings",
    },
):
    """How a container runs: what the label `org.mobyproject.config` of its image can say."""

    capabilities: Annotated[
        Maybe[tuple[Capability, ...]], "capabilities it has; 'all' for every one"
    ] = UNSET
    capabilities_add: Annotated[
        Maybe[tuple[Capability, ...]], "capabilities it has beside those of the image's label"
    ] = UNSET
    ambient: Annotated[Maybe[tuple[Capability, ...]], "capabilities kept when it is not root"] = (
        UNSET
    )
    mounts: Annotated[Maybe[tuple[Mount, ...]], "mounts; one of a default's place replaces it"] = (
        UNSET
    )
    binds: Annotated[
        Maybe[tuple[BindText, ...]], "source:destination[:options]; a path or volume to show in it"
    ] = UNSET
    binds_add: Annotated[Maybe[tuple[BindText, ...]], "binds beside those of the image's label"] = (
        UNSET
    )
    devices: Annotated[Maybe[tuple[Device, ...]], "device nodes it has"] = UNSET
    tmpfs: Annotated[Maybe[tuple[TmpfsText, ...]], "destination[:options]; empty file systems"] = (
        UNSET
    )
    command: Annotated[
        Maybe[tuple[str, ...]], "what to run; the image's entry point and command if not given"
    ] = UNSET
    env: Annotated[Maybe[tuple[str, ...]], "environment, NAME=value; the image's if not given"] = (
        UNSET
    )
    cwd: Annotated[Maybe[str], "working folder; the image's, or /, if not given"] = UNSET
    net: Annotated[Maybe[Namespace], "network: host (if not given), new or none, or a path"] = UNSET
    pid: Annotated[Maybe[Namespace], "processes: new (if not given), host, or a path"] = UNSET
    ipc: Annotated[Maybe[Namespace], "IPC: host (if not given), new, or a path"] = UNSET
    uts: Annotated[Maybe[Namespace], "host name: host (if not given), new, or a path"] = UNSET
    userns: Annotated[Maybe[Namespace], "users: host (if not given), new, or a path"] = UNSET
    readonly: Annotated[Maybe[bool], "whether its root file system is read-only"] = UNSET
    masked_paths: Annotated[Maybe[tuple[str, ...]], "paths it cannot see"] = UNSET
    readonly_paths: Annotated[Maybe[tuple[str, ...]], "paths it cannot write"] = UNSET
    uid: Annotated[Maybe[Id], "user: a number, or the name of a container"] = UNSET
    gid: Annotated[Maybe[Id], "group: a number, or the name of a container"] = UNSET
    additional_gids: Annotated[Maybe[tuple[Id, ...]], "more groups"] = UNSET
    no_new_privileges: Annotated[Maybe[bool], "keep setuid programs from gaining rights"] = UNSET
    hostname: Annotated[Maybe[str], "host name, in a uts namespace of its own"] = UNSET
    oom_score_adj: Annotated[
        Maybe[int], Range(-1000, 1000), "how soon it is killed when memory is short"
    ] = UNSET
    rootfs_propagation: Annotated[
        Maybe[
            Literal[
                "",
                "private",
                "rprivate",
                "slave",
                "rslave",
                "shared",
                "rshared",
                "unbindable",
                "runbindable",
            ]
        ],
        "propagation of mounts to and from its root",
    ] = UNSET
    cgroups_path: Annotated[Maybe[str], "its cgroup"] = UNSET
    resources: Annotated[Maybe[Resources], "what it may use"] = UNSET
    sysctl: Annotated[Maybe[Pairs], "kernel settings of its namespaces"] = UNSET
    rlimits: Annotated[Maybe[tuple[RlimitText, ...]], "name,soft,hard; resource limits"] = UNSET
    uid_mappings: Annotated[Maybe[tuple[IdMapping, ...]], "user ids of its user namespace"] = UNSET
    gid_mappings: Annotated[Maybe[tuple[IdMapping, ...]], "group ids of its user namespace"] = UNSET
    annotations: Annotated[Maybe[Pairs], "annotations of its config.json"] = UNSET
    runtime: Annotated[Maybe[Runtime], "what the guest does around it"] = UNSET
    restart: Annotated[
        Maybe[Restart], "services: when to start it again; on-failure if not given (Sampan)"
    ] = UNSET
    onfailure: Annotated[
        Maybe[OnFailure], "onboot: go on or stop the boot; continue if not given (Sampan)"
    ] = UNSET


class Container(ContainerDefaults, frozen=True, kw_only=True):
    """A container of `onboot`, `onshutdown` or `services`."""

    name: Annotated[ContainerName, "its name; unique among the services"]
    image: Annotated[ImageName, "image it runs, or @pkg:FOLDER"]


class File(Part, frozen=True):
    """A file, folder or link to put into the image."""

    path: Annotated[TreePath, "where in the image"]
    directory: Annotated[Maybe[bool], "make a folder"] = UNSET
    symlink: Annotated[Maybe[str], "make a link to this path"] = UNSET
    contents: Annotated[Maybe[str], "the text of the file"] = UNSET
    source: Annotated[Maybe[str], "file of the host to copy; ~/ is the home folder"] = UNSET
    metadata: Annotated[Maybe[Literal["yaml", "json"]], "write the merged document itself"] = UNSET
    optional: Annotated[Maybe[bool], "leave it out when the source is missing"] = UNSET
    mode: Annotated[Maybe[ModeText], "octal, in quotes: '0644'; 0600, or 0700 for folders"] = UNSET
    uid: Annotated[Maybe[Id], "owner: a number, or the name of a container"] = UNSET
    gid: Annotated[Maybe[Id], "group: a number, or the name of a container"] = UNSET

    @property
    def name(self) -> str:
        """The path relative to the root of the image, clean: `etc/motd`."""
        return "/".join(part for part in self.path.split("/") if part not in ("", "."))


class Volume(Part, frozen=True):
    """A file tree that containers can bind by its name."""

    name: Annotated[VolumeName, "its name, unique"]
    image: Annotated[Maybe[ImageName], "image it begins with; empty if not given"] = UNSET
    readonly: Annotated[Maybe[bool], "whether it cannot be written"] = UNSET
    format: Annotated[Maybe[Literal["filesystem", "oci"]], "file tree, or OCI layout"] = UNSET
    platforms: Annotated[Maybe[tuple[str, ...]], "platforms to hold (format oci only)"] = UNSET


class Trust(Part, frozen=True):
    """Content trust of 2017 files; accepted, and without effect."""

    image: Annotated[Maybe[tuple[str, ...]], "images to check"] = UNSET
    org: Annotated[Maybe[tuple[str, ...]], "organisations to check"] = UNSET


class Output(Part, frozen=True):
    """An output of 2017 files: the format to build when none is asked for.

    The other keys told the tool of that time where to upload; they are kept, not used.
    """

    format: Annotated[str, "format to build when none is asked for"]
    project: Annotated[Maybe[str], "cloud project (2017)"] = UNSET
    bucket: Annotated[Maybe[str], "cloud bucket (2017)"] = UNSET
    family: Annotated[Maybe[str], "image family (2017)"] = UNSET
    keys: Annotated[Maybe[str], "file of cloud credentials (2017)"] = UNSET
    public: Annotated[Maybe[bool], "whether anyone may use it (2017)"] = UNSET
    replace: Annotated[Maybe[bool], "whether an older one is replaced (2017)"] = UNSET


class Spec(Part, frozen=True):
    """A whole system: one YAML file, or several merged."""

    kernel: Annotated[Kernel, "the kernel"] = Kernel()
    init: Annotated[tuple[ImageName, ...], "images unpacked into the root file system"] = ()
    onboot: Annotated[tuple[Container, ...], "containers run one after another at boot"] = ()
    onshutdown: Annotated[tuple[Container, ...], "containers run at shutdown"] = ()
    services: Annotated[tuple[Container, ...], "containers that run all the time"] = ()
    files: Annotated[tuple[File, ...], "files to put into the image"] = ()
    volumes: Annotated[tuple[Volume, ...], "file trees that containers share or keep"] = ()
    trust: Annotated[Trust, "content trust of 2017 files; without effect"] = Trust()
    outputs: Annotated[tuple[Output, ...], "formats of 2017 files"] = ()

    def containers(self) -> Iterator[tuple[str, int, Container]]:
        """Every container with its section and index, in the order ids are given (2.6)."""
        for section in ("onboot", "onshutdown", "services"):
            for index, container in enumerate(getattr(self, section)):
                yield section, index, container

    def volume(self, name: str) -> Volume | None:
        """The volume of this name, as the source of a bind or a bind mount gives it."""
        return next((volume for volume in self.volumes if volume.name == name), None)

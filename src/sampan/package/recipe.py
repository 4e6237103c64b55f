r"""What a package is made of: the model of `build.yml`.

LinuxKit's keys, and Sampan's `debian:` section. Values only: reading the document is the work
of `sampan.package.document`, carrying it out that of `sampan.package.composer`.

A whole `debian:` section::

    debian:
      suite: trixie                   # default: trixie
      packages: [nginx-light, "syslinux [amd64]"]   # with "[…]" only for these architectures
      depends: true                   # false: only the packages named
      only: ["linux-image-*"]         # of the solved set, take only these (patterns)
      without: [perl-base, "debconf*"]  # of the solved set, leave these out (patterns)
      documentation: false            # true: keep man pages, translations, … (copyright stays)
      keep: ["usr/bin/*", "etc/**"]   # of the packages' files, keep only these
      drop: [usr/share/bash-completion]  # and leave these out, with all below them
      merged-usr: true                # /bin, /sbin, /lib* are links into /usr
      kernel: {modules: ["virtio_*", "i6300esb [amd64]"]}   # make LinuxKit's kernel image form
      python: true                    # compile the Python modules to .pyc
      directories:
        - {path: /var/cache/nginx, mode: "0755", uid: 33, gid: 33}   # only path is needed
      files:
        - {path: /etc/nginx/nginx.conf, source: nginx.conf}   # a file or folder beside build.yml
        - {path: /etc/motd, contents: "hello\n", mode: "0644", uid: 0, gid: 0}
      links: {/bin/sh: busybox}       # path: target of the symbolic link
      users: [{name: www-data, uid: 33, home: /var/www}]
      groups: [{name: www-data, gid: 33, members: []}]
      entrypoint: [/usr/sbin/nginx]   # these five go into the image's configuration
      cmd: ["-g", "daemon off;"]
      env: [PATH=/usr/sbin:/usr/bin:/sbin:/bin]
      workdir: /
      user: ""

Steps in this order: packages are unpacked, filtered by `keep` and `drop`; the kernel is
arranged; `directories`, `files`, `links`, `users` and `groups` are added (a file of the folder
replaces a package's); Python is compiled. Patterns: `*` stays within one component of a path,
`**` crosses them, and a pattern that matches a folder covers all below it.
"""

from __future__ import annotations

import re
from typing import Annotated, Self, TypeAlias

import msgspec

from sampan.spec.model import ContainerDefaults, ModeText, TreePath
from sampan.spec.shape import Pairs, Part, Range, Text

DEFAULT_ORG = "linuxkit"
DEFAULT_ARCHES = ("amd64", "arm64", "riscv64")
DEFAULT_SUITE = "trixie"
DEFAULT_ENV = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_MODULE = re.compile(r"[A-Za-z0-9_*?-]+")
_ARCHES = re.compile(r"[a-z0-9 ]*[a-z0-9][a-z0-9 ]*\]")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_UINT32 = Range(0, 2**32 - 2)


class Restricted(msgspec.Struct, frozen=True):
    """`NAME` or `NAME [ARCH …]`; no `arches` means that it is for all of them."""

    name: str
    arches: tuple[str, ...] = ()

    @classmethod
    def package(cls, text: str) -> Self:
        """Read a Debian package's name, in the form of Debian's own control files."""
        return cls._parse(text, _PACKAGE, "the name of a Debian package (say nginx-light)")

    @classmethod
    def module(cls, text: str) -> Self:
        """Read a kernel module's name, or a pattern with `*` and `?`."""
        return cls._parse(text, _MODULE, "the name of a kernel module (say virtio_net)")

    @classmethod
    def _parse(cls, text: str, form: re.Pattern[str], what: str) -> Self:
        name, bracket, arches = text.strip().partition("[")
        name = name.strip()
        if not form.fullmatch(name) or (bracket and not _ARCHES.fullmatch(arches)):
            raise ValueError(f"{text[:80]!r} is not {what}; [amd64] may follow")
        return cls(name, tuple(arches.rstrip("]").split()))

    def __str__(self) -> str:
        return f"{self.name} [{' '.join(self.arches)}]" if self.arches else self.name


def names_for(items: tuple[Restricted, ...], architecture: str) -> tuple[str, ...]:
    """The names that are for `architecture` (Debian's name: `amd64`), sorted, each once."""
    return tuple(sorted({i.name for i in items if not i.arches or architecture in i.arches}))


class ExtraSource(msgspec.Struct, frozen=True):
    """`SOURCE:DESTINATION`: something beside the folder that is built with it."""

    source: str
    destination: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `../other:other`."""
        source, colon, destination = text.partition(":")
        if not (source and colon and destination) or ":" in destination:
            raise ValueError(f"{text[:80]!r} is not source:destination")
        if ".." in destination.split("/"):
            raise ValueError(f"{text[:80]!r}: the destination leaves the package")
        return cls(source, destination.strip("/"))


def _suite(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", text):
        raise ValueError(f"{text[:80]!r} is not a Debian suite (say trixie)")
    return text


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise ValueError(f"{text[:80]!r} cannot name a user or a group")
    return text


def _field(text: str) -> str:
    if set(text) & {":", "\n"}:
        raise ValueError("a field of /etc/passwd holds neither ':' nor a line break")
    return text


PackageText: TypeAlias = Annotated[Restricted, Text(Restricted.package)]
ModuleText: TypeAlias = Annotated[Restricted, Text(Restricted.module)]
ExtraSourceText: TypeAlias = Annotated[ExtraSource, Text(ExtraSource.parse)]
AccountName: TypeAlias = Annotated[str, Text(_account)]
AccountField: TypeAlias = Annotated[str, Text(_field)]
Id: TypeAlias = Annotated[int, _UINT32]
Words: TypeAlias = tuple[str, ...]


class Addition(Part, frozen=True):
    """A file to add. Without `mode`: 0755 for an executable source, else 0644.

    A folder is added whole, each file with the mode of that rule unless `mode` is given.
    """

    path: Annotated[TreePath, "where in the image"]
    source: Annotated[str, "file or folder of the package to copy"] = ""
    contents: Annotated[str, "text of the file, when there is no source"] = ""
    mode: Annotated[ModeText | msgspec.UnsetType, "octal, in quotes: '0644'"] = msgspec.UNSET
    uid: Annotated[Id, "owner"] = 0
    gid: Annotated[Id, "group"] = 0


class Directory(Part, frozen=True):
    """A directory to make, or whose mode and owner to set; 0755 without `mode`."""

    path: Annotated[TreePath, "where in the image"]
    mode: Annotated[ModeText | msgspec.UnsetType, "octal, in quotes: '0755'"] = msgspec.UNSET
    uid: Annotated[Id, "owner"] = 0
    gid: Annotated[Id, "group"] = 0


class User(Part, frozen=True):
    """A line of `/etc/passwd`; without `gid` the group has the number of the user."""

    name: Annotated[AccountName, "login name"]
    uid: Annotated[Id, "number"]
    gid: Annotated[Id | msgspec.UnsetType, "number of the group; that of the user if not given"] = (
        msgspec.UNSET
    )
    home: Annotated[AccountField, "home folder"] = "/"
    shell: Annotated[AccountField, "login shell"] = "/usr/sbin/nologin"
    gecos: Annotated[AccountField, "full name"] = ""

    @property
    def group_id(self) -> int:
        """The number of the user's group."""
        return self.gid if isinstance(self.gid, int) else self.uid


class Group(Part, frozen=True):
    """A line of `/etc/group`."""

    name: Annotated[AccountName, "name"]
    gid: Annotated[Id, "number"]
    members: Annotated[tuple[AccountName, ...], "login names"] = ()


class Kernel(Part, frozen=True):
    """What to put into `/kernel.tar`: the modules these patterns name, and what they need.

    A pattern is a module's name with `*` and `?` (`virtio_*`); `-` and `_` are the same.
    `["*"]` is every module; `i6300esb [amd64]` is one that only that architecture has.
    `compressed` modules take a quarter of the memory in an initrd; the kernel has to unpack them
    (Debian's can since trixie).
    """

    modules: Annotated[tuple[ModuleText, ...], "modules to put into kernel.tar (patterns)"] = ()
    compressed: Annotated[bool, "whether modules stay compressed, as Debian has them"] = False

    def modules_for(self, architecture: str) -> tuple[str, ...]:
        """The patterns for `architecture` (Debian's name)."""
        return names_for(self.modules, architecture)


class Debian(Part, frozen=True, rename="kebab"):
    """The `debian:` section: see the module's docstring for each key."""

    suite: Annotated[str, Text(_suite), "Debian release"] = DEFAULT_SUITE
    packages: Annotated[tuple[PackageText, ...], "packages to unpack"] = ()
    depends: Annotated[bool, "whether what they depend on comes too"] = True
    only: Annotated[Words, "of the solved set, take only these (patterns)"] = ()
    without: Annotated[Words, "of the solved set, leave these out (patterns)"] = ()
    documentation: Annotated[bool, "whether manual pages and translations stay"] = False
    keep: Annotated[Words, "of the packages' files, keep only these (patterns)"] = ()
    drop: Annotated[Words, "of the packages' files, leave these out (patterns)"] = ()
    merged_usr: Annotated[bool, "whether /bin, /sbin and /lib are links into /usr"] = True
    kernel: Annotated[Kernel | msgspec.UnsetType, "make an image of a kernel"] = msgspec.UNSET
    python: Annotated[bool, "compile Python modules to .pyc"] = False
    directories: Annotated[tuple[Directory, ...], "directories to make"] = ()
    files: Annotated[tuple[Addition, ...], "files to add"] = ()
    links: Annotated[Pairs, "symbolic links to make, path: target"] = ()
    users: Annotated[tuple[User, ...], "users of /etc/passwd"] = ()
    groups: Annotated[tuple[Group, ...], "groups of /etc/group"] = ()
    entrypoint: Annotated[Words, "entry point of the image"] = ()
    cmd: Annotated[Words, "command of the image"] = ()
    env: Annotated[Words, "environment of the image, NAME=value"] = DEFAULT_ENV
    workdir: Annotated[str, "working folder of the image"] = "/"
    user: Annotated[str, "user of the image"] = ""

    def packages_for(self, architecture: str) -> tuple[str, ...]:
        """The packages named for `architecture` (Debian's name: `amd64`), sorted, each once."""
        return names_for(self.packages, architecture)


class DockerImages(Part, frozen=True, rename="kebab"):
    """Images that are put beside a package as archives before it is built."""

    target: Annotated[str, "one archive to hold them all"] = ""
    target_dir: Annotated[str, "a folder with an archive for each"] = ""
    from_file: Annotated[str, "a file that lists them, one on a line"] = ""
    list: Annotated[Words, "their names, with digests"] = ()


class Dependencies(Part, frozen=True, rename="kebab"):
    """What has to be there before a package is built."""

    docker_images: Annotated[DockerImages, "images to put beside it"] = DockerImages()


class Recipe(
    Part,
    frozen=True,
    rename={"extra_sources": "extra-sources", "disable_cache": "disable-cache",
            "build_args": "buildArgs"},
):  # fmt: skip
    """A whole `build.yml`; without a `debian` section it is built from its `dockerfile`."""

    image: Annotated[str, "name of the image, without organisation and tag"]
    org: Annotated[str, "organisation the image's name begins with"] = DEFAULT_ORG
    tag: Annotated[str, "tag of the image; {{.Hash}} is the hash of the sources"] = "{{.Hash}}"
    dockerfile: Annotated[str, "its Dockerfile"] = "Dockerfile"
    arches: Annotated[Words, "architectures it can be built for"] = DEFAULT_ARCHES
    extra_sources: Annotated[
        tuple[ExtraSourceText, ...], "source:destination; what is built with it"
    ] = ()
    gitrepo: Annotated[str, "where its sources are published"] = ""
    network: Annotated[bool, "whether its Dockerfile may use the network"] = False
    disable_cache: Annotated[bool, "whether the builder's cache is left out"] = False
    config: Annotated[
        ContainerDefaults | msgspec.UnsetType, "how a container of it runs, if not said otherwise"
    ] = msgspec.UNSET
    build_args: Annotated[Words, "NAME=value; arguments of its Dockerfile"] = ()
    depends: Annotated[Dependencies, "what has to be there before"] = Dependencies()
    debian: Annotated[Debian | msgspec.UnsetType, "compose it of Debian packages"] = msgspec.UNSET

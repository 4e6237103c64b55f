"""`sampan pkg …`: folders with a `build.yml`, made into images and published."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from sampan.cli import flag, jsonout
from sampan.cli.settings import Settings, source_date_epoch

if TYPE_CHECKING:
    from sampan.oci.model import Platform
    from sampan.oci.reference import Reference
    from sampan.package.build import Options

_EPILOG = """\b
Examples:
  sampan pkg build ./hello
  sampan pkg show-tag ./hello

A package is a folder with a build.yml, and either a debian: section in it or a Dockerfile. Its
tag is a hash of its sources; what is in the cache under that tag is not built again.
"""
_ARCHITECTURES = ("amd64", "arm64", "riscv64", "s390x", "ppc64le")


class _Flags(TypedDict, total=False):
    """The values of the flags of `_naming` and, for verbs that build, of `_building`."""

    build_yml: str
    org: str
    hash_: str
    hash_commit: str
    platforms: tuple[str, ...]
    force: bool
    network: bool | None
    disable_cache: bool | None
    pull: bool


_naming = flag.given(
    click.option("--build-yml", default="build.yml", show_default=True, metavar="NAME",
                 help="What the recipe is called in its folder."),
    click.option("--org", default="", metavar="NAME", envvar="LINUXKIT_PKG_ORG",
                 help="Organisation instead of the recipe's.  [env: LINUXKIT_PKG_ORG]"),
    click.option("--hash", "hash_", default="", metavar="HASH",
                 help="The tag, instead of the hash of the sources."),
    click.option("--hash-commit", default="HEAD", show_default=True, metavar="COMMIT",
                 help="The git commit whose hash counts."),
)  # fmt: skip
"""The flags that say which package is meant, and what it is called."""


_building = flag.given(
    click.option("--platforms", multiple=True, metavar="OS/ARCH[,...]",
                 help="Platforms to build for.  [default: this computer's]"),
    click.option("--force", is_flag=True, help="Build what is in the cache already, too."),
    click.option("--network/--nonetwork", default=None,
                 help="Whether a Dockerfile may use the network.  [default: the recipe's]"),
    click.option("--disable-cache/--enable-cache", default=None,
                 help="Whether the Dockerfile builder starts afresh."),
    click.option("--pull", is_flag=True, help="Fetch the images a Dockerfile begins with anew."),
)  # fmt: skip
"""The flags that say how a package is built."""


@click.group("pkg", epilog=_EPILOG)
def command() -> None:
    """Build and publish packages."""


@command.command(
    "build",
    epilog="\b\nExamples:\n  sampan pkg build ./hello\n"
    "  sampan pkg build --platforms linux/amd64,linux/arm64 --force ./hello\n",
)
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@_naming
@_building
@click.option("--push", "push_", is_flag=True, help="Push what was built.")
@click.pass_obj
def build(
    settings: Settings, /, folders: tuple[Path, ...], push_: bool, **flags: Unpack[_Flags]
) -> None:
    """Build packages into the cache."""
    _build(settings, folders, flags, push=push_)


@command.command(
    "push", epilog="\b\nExamples:\n  sampan pkg push --org localhost:5000/me ./hello\n"
)
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@_naming
@_building
@click.pass_obj
def push(settings: Settings, /, folders: tuple[Path, ...], **flags: Unpack[_Flags]) -> None:
    """Build packages and push them to their registry."""
    _build(settings, folders, flags, push=True)


@command.command("show-tag", epilog="\b\nExamples:\n  sampan pkg show-tag --canonical ./hello\n")
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@_naming
@click.option("--canonical", is_flag=True, help="With the registry's name.")
@click.pass_obj
def show_tag(
    settings: Settings, /, folders: tuple[Path, ...], canonical: bool, **flags: Unpack[_Flags]
) -> None:
    """Print the names, with tags, that packages are built as."""
    from sampan.package import build as package_build

    for folder in folders:
        _show(
            settings,
            package_build.show_tag(folder, _options(settings, flags), canonical=canonical),
        )


@command.command("manifest", epilog="\b\nExamples:\n  sampan pkg manifest ./hello\n")
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@_naming
@click.pass_obj
def manifest(settings: Settings, /, folders: tuple[Path, ...], **flags: Unpack[_Flags]) -> None:
    """Join the images of each architecture (tags ending in -ARCH) under one name."""
    from sampan.oci.layout import Cache
    from sampan.oci.model import Platform
    from sampan.package import build as package_build

    platforms = tuple(map(Platform.parse, _ARCHITECTURES))
    for folder in folders:
        package = package_build.open_package(folder, _options(settings, flags))
        package_build.manifest(package.reference, Cache(settings.cache), platforms)
        _show(settings, package.reference.familiar)


def _build(settings: Settings, folders: tuple[Path, ...], flags: _Flags, *, push: bool) -> None:
    from sampan.oci.layout import Cache
    from sampan.package import build as package_build

    cache, options = Cache(settings.cache), _options(settings, flags)
    platforms = _platforms(flags["platforms"])
    for folder in folders:
        if push:
            package_build.check_pushable(package_build.open_package(folder, options))
        reference = package_build.build(folder, cache, platforms, options, settings.progress())
        if push:
            _push(settings, reference)
        _show(settings, reference.familiar)


def _push(settings: Settings, reference: Reference) -> None:
    from sampan.cli.remote import remote
    from sampan.oci import transfer
    from sampan.oci.layout import Cache

    transfer.push(
        Cache(settings.cache), reference, remote=remote(settings), progress=settings.progress()
    )


def _options(settings: Settings, flags: _Flags) -> Options:
    from sampan.package import composer
    from sampan.package.build import Options

    return Options(
        force=flags.get("force", False),
        build_yml=flags["build_yml"],
        org=flags["org"],
        hash=flags["hash_"],
        commit=flags["hash_commit"],
        debian=composer.Options(mirror=settings.debian_mirror, epoch_s=source_date_epoch()),
        network=flags.get("network"),
        cached=None if (disabled := flags.get("disable_cache")) is None else not disabled,
        pull=flags.get("pull", False),
    )


def _platforms(words: tuple[str, ...]) -> tuple[Platform, ...]:
    from sampan.oci.model import Platform

    names = [name for word in words for name in word.split(",") if name]
    return tuple(map(Platform.parse, names)) or (Platform.host(),)


def _show(settings: Settings, name: str) -> None:
    sys.stdout.write(jsonout.line({"name": name}) if settings.json else f"{name}\n")

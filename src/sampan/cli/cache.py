"""`sampan cache …`: the images on this computer."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.oci.layout import Cache
    from sampan.oci.model import Platform
    from sampan.oci.reference import Reference

_MADE = ("steps", "packages", "apt")  # what can be made again, beside the images
_EPILOG = """\b
Examples:
  sampan cache ls
  sampan cache pull nginx:alpine
  sampan cache export --outfile nginx.tar nginx:alpine

Names may be short, as Docker's: nginx is docker.io/library/nginx:latest.
"""


@click.group("cache", epilog=_EPILOG)
def command() -> None:
    """Look at and change the image cache."""


@command.command("ls", epilog="\b\nExamples:\n  sampan cache ls\n  sampan cache ls --json\n")
@click.pass_obj
def ls(settings: Settings) -> None:
    """List the images by name."""
    from sampan.base.units import format_size

    entries = _cache(settings).entries()
    if settings.json:
        for entry in entries:
            sys.stdout.write(
                jsonout.line(
                    {
                        "name": entry.reference.canonical,
                        "digest": entry.descriptor.digest,
                        "size": entry.size,
                    }
                )
            )
        return
    rows = [
        (entry.reference.familiar, format_size(entry.size), str(entry.descriptor.digest))
        for entry in entries
    ]
    click.echo(render.table(("NAME", "SIZE", "DIGEST"), rows), nl=False)


@command.command(
    "pull",
    epilog="\b\nExamples:\n  sampan cache pull nginx:alpine\n"
    "  sampan cache pull --platform linux/amd64,linux/arm64 alpine\n",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--platform", "platforms", multiple=True, metavar="OS/ARCH[,...]",
    help="Platforms to have; `all` for every one.  [default: this computer's]",
)  # fmt: skip
@click.pass_obj
def pull(settings: Settings, names: tuple[str, ...], platforms: tuple[str, ...]) -> None:
    """Fetch images from their registries."""
    from sampan.cli.remote import remote
    from sampan.oci import transfer
    from sampan.oci.reference import Reference

    cache, wanted = _cache(settings), _platforms(platforms)
    for name in names:
        reference = Reference.parse(name).with_default_tag()
        transfer.pull(
            cache,
            reference,
            platforms=wanted,
            remote=remote(settings),
            progress=settings.progress(),
        )


@command.command(
    "push",
    epilog="\b\nExamples:\n  sampan cache push localhost:5000/web:1\n"
    "  sampan cache push --remote-name localhost:5000/web:1 web:1\n",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--remote-name", metavar="NAME", help="What the image is called there.")
@click.pass_obj
def push(settings: Settings, names: tuple[str, ...], remote_name: str | None) -> None:
    """Send images to their registries."""
    from sampan.cli.remote import remote
    from sampan.errors import UsageError
    from sampan.oci import transfer
    from sampan.oci.reference import Reference

    if remote_name is not None and len(names) > 1:
        raise UsageError("--remote-name is for one image", hint="push them one by one")
    target = Reference.parse(remote_name).with_default_tag() if remote_name else None
    for name in names:
        transfer.push(
            _cache(settings),
            Reference.parse(name).with_default_tag(),
            target=target,
            remote=remote(settings),
            progress=settings.progress(),
        )


@command.command(
    "import",
    epilog="\b\nExamples:\n  sampan cache import image.tar\n  docker save web | sampan cache import -\n",
)
@click.argument("file", metavar="FILE|-")
@click.option("--name", metavar="NAME", help="What the one image of the file is to be called.")
@click.pass_obj
def import_(settings: Settings, file: str, name: str | None) -> None:
    """Add the images of an OCI layout or `docker save` tar."""
    from sampan.oci import archive
    from sampan.oci.reference import Reference

    given = Reference.parse(name).with_default_tag() if name else None
    source = sys.stdin.buffer if file == "-" else Path(file)
    found = archive.import_archive(
        _cache(settings), source, name=given, progress=settings.progress()
    )
    for reference in found:
        _show_name(settings, reference)


@command.command(
    "export",
    epilog="\b\nExamples:\n  sampan cache export --outfile web.tar web:1\n"
    "  sampan cache export --format filesystem --outfile - alpine | tar -t\n",
)
@click.argument("name", metavar="NAME")
@click.option("--outfile", required=True, metavar="FILE|-", help="Where to write it.")
@click.option(
    "--format", "format_", type=click.Choice(["oci", "docker", "filesystem"]), default="oci",
    show_default=True, help="An OCI layout, what docker load reads, or the files themselves.",
)  # fmt: skip
@click.option("--platform", metavar="OS/ARCH", help="Only this platform.")
@click.pass_obj
def export(settings: Settings, name: str, outfile: str, format_: str, platform: str | None) -> None:
    """Write an image to a tar file."""
    from sampan.base import fs
    from sampan.oci import archive
    from sampan.oci.model import Platform
    from sampan.oci.reference import Reference

    target = fs.atomic_file(Path(outfile), durable=False)
    with nullcontext(sys.stdout.buffer) if outfile == "-" else target as stream:
        archive.export_archive(
            _cache(settings),
            Reference.parse(name).with_default_tag(),
            stream,
            format=format_,
            platform=Platform.parse(platform) if platform else None,
        )


@command.command("rm", epilog="\b\nExamples:\n  sampan cache rm nginx:alpine\n")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def rm(settings: Settings, names: tuple[str, ...]) -> None:
    """Remove images; what other images use stays."""
    from sampan.oci.reference import Reference

    cache = _cache(settings)
    _say_freed(settings, sum(cache.remove(Reference.parse(name)) for name in names))


@command.command(
    "clean", epilog="\b\nExamples:\n  sampan cache clean\n  sampan cache clean --unused\n"
)
@click.option("--unused", is_flag=True, help="Keep the images; remove what none of them uses.")
@click.pass_obj
def clean(settings: Settings, unused: bool) -> None:
    """Remove all images, and what builds keep to be fast."""
    cache = _cache(settings)
    _say_freed(settings, cache.clean(images=not unused, folders=() if unused else _MADE))


def _cache(settings: Settings) -> Cache:
    from sampan.oci.layout import Cache

    return Cache(settings.cache)


def _platforms(words: list[str] | tuple[str, ...]) -> tuple[Platform, ...]:
    """The platforms that comma lists name; this computer's without any, none for `all`."""
    from sampan.oci.model import Platform

    names = [name for word in words for name in word.split(",") if name]
    if names == ["all"]:
        return ()
    return tuple(map(Platform.parse, names)) or (Platform.host(),)


def _show_name(settings: Settings, reference: Reference) -> None:
    line = {"name": reference.canonical}
    sys.stdout.write(jsonout.line(line) if settings.json else f"{reference.familiar}\n")


def _say_freed(settings: Settings, size: int) -> None:
    from sampan.base.units import format_size

    if settings.json:
        sys.stdout.write(jsonout.line({"freed": size}))
    elif not settings.quiet:
        click.echo(f"freed {format_size(size)}")

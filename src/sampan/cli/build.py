"""`sampan build`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from sampan.base.clock import SystemClock
from sampan.cli import jsonout
from sampan.cli.settings import Settings, source_date_epoch
from sampan.errors import SampanError, UsageError

if TYPE_CHECKING:
    from sampan.base.progress import Progress
    from sampan.image.build import Options
    from sampan.image.output import Output
    from sampan.oci.layout import Cache
    from sampan.oci.model import Platform
    from sampan.oci.reference import Reference
    from sampan.package.build import Options as PackageOptions

_EPILOG = """\b
Examples:
  sampan build web.yml
  sampan build --format tar --dir out web.yml
  sampan build --o web.tar web.yml site.yml
  sampan build --dry-run web.yml

Several files are merged: later ones add to lists and win over single values. A file may be -
for standard input, or an http(s) address.
"""


class _Flags(TypedDict):
    """The flags that say how, not what, is built."""

    pull: bool
    no_sbom: bool
    sbom_output: str
    sbom_current_time: bool
    decompress_kernel: bool
    compression: str | None


def _name_of_package(folder: Path) -> str:
    from sampan.package import build  # few files name packages by their folder

    return build.show_tag(folder)


def _later(feature: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def refuse(context: click.Context, option: click.Parameter, value: object) -> None:
        del context
        if value:
            raise UsageError(f"{option.opts[0]} is not there yet: {feature}")

    return refuse


@click.command("build", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE.yml...")
@click.option(
    "-f", "--format", "formats", multiple=True, metavar="NAME[,NAME...]",
    help="What to write: kernel+initrd, tar, docker, tar-kernel-initrd.  [default: the outputs of the file, "
    "else kernel+initrd; tar with --o]",
)  # fmt: skip
@click.option("--arch", metavar="NAME", help="amd64, arm64, ...  [default: this computer's]")
@click.option(
    "--dir", "folder", default=".", metavar="DIR", type=click.Path(path_type=Path),
    help="Folder for the outputs; it must exist.  [default: the current one]",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="What outputs are called.  [default: as the file]")
@click.option("--o", "output", metavar="FILE|-", help="Write the one output to this file.")
@click.option("--pull", is_flag=True, help="Ask registries for newer images of the same names.")
@click.option("--no-sbom", is_flag=True, help="Leave out the list of contents (SPDX).")
@click.option(
    "--sbom-output", default="sbom.spdx.json", show_default=True, metavar="NAME",
    help="What that list is called in the system.",
)  # fmt: skip
@click.option(
    "--sbom-current-time", is_flag=True,
    help="Date that list now: the output then differs each time.",
)  # fmt: skip
@click.option("--decompress-kernel", is_flag=True, help="Write the kernel uncompressed.")
@click.option(
    "--compression",
    type=click.Choice(["zstd", "gzip", "none"]),
    help="How the initrd is compressed.  [default: zstd, if the kernel can unpack it]",
)
@click.option("--dry-run", is_flag=True, help="Check and print the merged file; build nothing.")
@click.option(
    "--docker", is_flag=True, hidden=True, expose_value=False,
    callback=_later("images come from the cache and from registries"),
)  # fmt: skip
@click.option(
    "--input-tar", hidden=True, expose_value=False,
    callback=_later("a rebuild takes what did not change from the cache by itself"),
)  # fmt: skip
@click.option(
    "--size", hidden=True, expose_value=False, callback=_later("there are no disk formats yet")
)
@click.pass_obj
def command(
    settings: Settings,
    /,
    files: tuple[str, ...],
    formats: tuple[str, ...],
    arch: str | None,
    folder: Path,
    name: str | None,
    output: str | None,
    dry_run: bool,
    **flags: Unpack[_Flags],
) -> None:
    """Build a system from its YAML files."""
    from sampan import spec as specs
    from sampan.cli import source

    sources = source.read(files, settings)
    spec = specs.load(sources, resolve_package=_name_of_package)
    if dry_run:
        from sampan.spec import dump

        sys.stdout.write(dump.to_json(spec) if settings.json else dump.to_yaml(spec))
        return
    from sampan.image import build
    from sampan.oci.layout import Cache
    from sampan.oci.model import Platform

    cache = Cache(settings.cache)
    platform = Platform.parse(arch) if arch else Platform.host()
    try:
        result = build.build(
            spec,
            cache=cache,
            platform=platform,
            formats=_names(formats) or (("tar",) if output else ()),
            output=_output(folder, name, output, files),
            options=_options(settings, cache, platform, flags),
            progress=settings.progress(),
        )
    except SampanError as error:
        from sampan.spec import position

        raise position.locate(error, sources) from None
    for path in result.outputs:
        _show(settings, path)


def _names(words: Sequence[str]) -> tuple[str, ...]:
    """The names in comma lists."""
    return tuple(name.strip() for word in words for name in word.split(",") if name.strip())


def _output(folder: Path, name: str | None, file: str | None, files: Sequence[str]) -> Output:
    from sampan.cli import source
    from sampan.image.output import Output

    if file is not None and (name or folder != Path()):
        raise UsageError("--o says where the output goes", hint="leave --name and --dir away")
    for each in files:
        if (
            file is not None
            and Path(each).exists()
            and os.path.realpath(each) == os.path.realpath(file)
        ):
            raise UsageError(
                f"{file} is what is built from; the output would take its place",
                hint="say another file with --o",
            )
    return Output(
        folder,
        name or source.name_of(files[0]),
        file=Path(file) if file not in (None, "-") else None,
        stream=sys.stdout.buffer if file == "-" else None,
    )


def _options(settings: Settings, cache: Cache, platform: Platform, flags: _Flags) -> Options:
    from sampan.cli.remote import remote
    from sampan.formats.codec import Compression
    from sampan.image.build import Options
    from sampan.image.step import FIXED_MTIME_S

    epoch_s = source_date_epoch()
    reach = remote(settings)

    def fetch(reference: Reference, progress: Progress) -> None:
        from sampan.oci import transfer

        transfer.pull(
            cache,
            reference.with_default_tag(),
            platforms=[platform],
            remote=reach,
            progress=progress,
        )

    def packages() -> PackageOptions:
        from sampan.package import build, composer

        return build.Options(
            debian=composer.Options(mirror=settings.debian_mirror, epoch_s=epoch_s)
        )

    compression = flags["compression"]
    return Options(
        compression=Compression(compression) if compression else None,
        decompress_kernel=flags["decompress_kernel"],
        sbom_name=None if flags["no_sbom"] else flags["sbom_output"],
        epoch_s=FIXED_MTIME_S if epoch_s is None else epoch_s,
        created_s=int(SystemClock().wall_s()) if flags["sbom_current_time"] else None,
        fetch=fetch,
        pull=flags["pull"],
        packages=packages,
        home=Path.home(),
    )


def _show(settings: Settings, path: Path) -> None:
    if settings.json:
        sys.stdout.write(jsonout.line({"output": path}))
    elif not settings.quiet:
        click.echo(path)

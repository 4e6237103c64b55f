"""`sampan build`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli.settings import Settings
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.spec.model import Spec

_EPILOG = """\b
Examples:
  sampan build web.yml
  sampan build --format tar --dir out web.yml
  sampan build --o web.tar web.yml site.yml
  sampan build --dry-run web.yml

Several files are merged: later ones add to lists and win over single values. A file may be -
for standard input, or an http(s) address.
"""

_FORMATS = ("kernel+initrd", "tar")
_LATER_FORMATS = frozenset(
    [
        "aws",
        "docker",
        "dynamic-vhd",
        "gcp",
        "iso-bios",
        "iso-efi",
        "iso-efi-initrd",
        "kernel+erofs",
        "kernel+iso",
        "kernel+squashfs",
        "qcow2-bios",
        "qcow2-efi",
        "raw-bios",
        "raw-efi",
        "rpi3",
        "tar-kernel-initrd",
        "vhd",
        "vmdk",
    ]
)  # LinuxKit's


def read_spec(files: Sequence[str], settings: Settings) -> Spec:
    """The one description that `files` make together; `@pkg:` names are resolved.

    Raises:
        DocumentError: with all faults of all files.
        SampanError: a file cannot be read.
    """
    from sampan import spec
    from sampan.cli import source

    return spec.load(source.read(files, settings), resolve_package=_name_of_package)


def _name_of_package(folder: Path) -> str:
    from sampan.package import build  # few files name packages by their folder

    return build.show_tag(folder)


def chosen_formats(words: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """The formats that `--format` words (comma lists) name, else `default`; each once.

    Raises:
        UsageError: one is unknown, or not there yet.
    """
    named = [name.strip() for word in words for name in word.split(",") if name.strip()]
    formats = tuple(dict.fromkeys(named or default))
    here = f"this version writes {' and '.join(_FORMATS)}"
    for name in formats:
        if name in _LATER_FORMATS:
            raise UsageError(f"the format {name} is not there yet", hint=here)
        if name not in _FORMATS:
            raise UsageError(f"there is no format {name!r}", hint=here)
    return formats


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
    help="What to write: kernel+initrd, tar.  [default: the outputs of the file, "
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
    files: tuple[str, ...],
    formats: tuple[str, ...],
    arch: str | None,
    folder: Path,
    name: str | None,
    output: str | None,
    pull: bool,
    no_sbom: bool,
    sbom_output: str,
    sbom_current_time: bool,
    decompress_kernel: bool,
    dry_run: bool,
) -> None:
    """Build a system from its YAML files."""
    spec = read_spec(files, settings)
    if dry_run:
        from sampan.spec import dump

        sys.stdout.write(dump.to_json(spec) if settings.json else dump.to_yaml(spec))
        return
    raise UsageError("only --dry-run is there yet")

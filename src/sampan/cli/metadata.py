"""`sampan metadata`: discs that tell machines who they are."""

from __future__ import annotations

from pathlib import Path

import click

from sampan.errors import UsageError

_EPILOG = """\b
Examples:
  sampan metadata create web.iso '{"hostname": {"content": "web"}}'
  sampan metadata create --data-file web.json web.iso
  sampan metadata create --nocloud --data-file user-data --meta-data meta-data seed.iso

`sampan run --data TEXT` makes such a disc by itself.

Exit status: 0 if it was made, 1 if not, 2 for wrong usage or data that are too long.
"""


@click.group("metadata", epilog=_EPILOG)
def command() -> None:
    """Make discs that tell machines who they are."""


@command.command("create", epilog=_EPILOG)
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("text", metavar="[DATA]", required=False)
@click.option(
    "--data-file", metavar="FILE", type=click.Path(path_type=Path),
    help="Take the data from FILE instead.",
)  # fmt: skip
@click.option(
    "--nocloud", is_flag=True,
    help="Make the form NoCloud: user-data and meta-data on a volume called cidata.",
)  # fmt: skip
@click.option(
    "--meta-data", metavar="FILE", type=click.Path(path_type=Path),
    help="What becomes meta-data; with --nocloud.  [default: empty]",
)  # fmt: skip
@click.option(
    "--network-config", metavar="FILE", type=click.Path(path_type=Path),
    help="What becomes network-config; with --nocloud.",
)  # fmt: skip
def create(
    path: Path,
    text: str | None,
    data_file: Path | None,
    nocloud: bool,
    meta_data: Path | None,
    network_config: Path | None,
) -> None:
    """Write DATA to the ISO image FILE; the same data gives the same image."""
    from sampan.machine.storage import metadata

    data = given_data(text, data_file)
    if data is None:
        raise UsageError("there is no data", hint="say it, or name a file with --data-file")
    if nocloud:
        content = metadata.nocloud(
            data,
            b"" if meta_data is None else metadata.read_data(meta_data),
            None if network_config is None else metadata.read_data(network_config),
        )
    elif meta_data or network_config:
        raise UsageError(
            "only the form NoCloud has meta-data and network-config", hint="say --nocloud, too"
        )
    else:
        content = metadata.disc(data)
    metadata.write(path, content)


def given_data(text: str | None, path: Path | None) -> bytes | None:
    """The data that was given as text or as a file; None if it was not.

    Raises:
        UsageError: it was given twice, or the file cannot be read.
    """
    from sampan.machine.storage import metadata

    if text is not None and path is not None:
        raise UsageError("data is given twice: as text, and as a file", hint="leave one away")
    if path is not None:
        return metadata.read_data(path)
    return None if text is None else text.encode(errors="surrogateescape")

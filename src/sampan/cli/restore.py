"""`sampan restore`."""

from __future__ import annotations

import click

from sampan.cli import detach, goingon, target
from sampan.cli.settings import Settings

_EPILOG = """\b
Examples:
  sampan snapshot create web clean
  sampan restore web clean
"""


@click.command("restore", epilog=_EPILOG + target.STATUS)
@target.name
@click.argument("tag")
@click.pass_obj
def command(settings: Settings, name: str, tag: str) -> None:
    """Put a machine and its disks back to its snapshot TAG; one that does not run is started."""
    from sampan.desktop import saved
    from sampan.desktop.saved import TagAsked
    from sampan.machine.saving import suspension
    from sampan.machine.supervise.model import Nothing

    record = target.healed(target.store(), name)
    folder = saved.found(record.folder, tag)
    child = detach.inherited()
    if child is not None:
        goingon.run_here(
            settings, child, folder, suspension.read(folder).spec, saved.connected(folder),
            made=record.made, began=saved.forget,
        )  # fmt: skip
        return
    if record.status.live:
        asked = TagAsked(tag=tag)
        target.reached(record).call("restore", asked, Nothing, waits=True)
    else:
        goingon.start(("restore", record.name, tag))
    click.echo(record.name)

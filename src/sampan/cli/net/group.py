"""`sampan net …`: run a network, and look at and change those that run."""

from __future__ import annotations

import click

from sampan.cli.net import (
    attach,
    capture,
    events,
    flows,
    forward,
    http,
    listen,
    name,
    policy,
    serve,
    show,
)

_EPILOG = """\b
Examples:
  sampan net serve --listen qemu:/tmp/vm.sock --publish 8080:80
  sampan net expose 8443:443
  sampan net flows

The verbs but serve and attach talk to a network that runs: the one called --name, or the only
one there is. The network of a machine that sampan run started is called as the machine is.
"""


@click.group("net", epilog=_EPILOG)
def command() -> None:
    """Run networks for virtual machines, and look into them."""


for _each in (
    serve.command, attach.command, listen.command, forward.expose, forward.unexpose, forward.ls,
    flows.command, http.command, events.command, capture.command, name.command, policy.command,
    show.leases, show.links, show.stats, show.info, show.shutdown,
):  # fmt: skip
    command.add_command(_each)

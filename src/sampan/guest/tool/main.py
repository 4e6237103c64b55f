"""One entry for all programs of this folder: they are links to it, told apart by their names."""

from __future__ import annotations

import os
import sys

from sampan.guest.agent.fault import AgentError

USAGE = (
    "this program is one of: format mount metadata host-timesync-daemon vsudd vpnkit-forwarder "
    "vpnkit-expose-port\n"
)


def main(argv: list[str]) -> int:
    """Run the program that `argv[0]` names; the exit status."""
    name = os.path.basename(argv[0])
    try:
        return _run(name, argv[1:])
    except AgentError as error:
        sys.stderr.write(f"{name}: {error}\n")
    except OSError as error:
        sys.stderr.write(f"{name}: {error.filename or ''}: {error.strerror}\n")
    return 1


def _run(name: str, words: list[str]) -> int:
    """Run one program. Imports are here because each needs few modules."""
    if name == "format":
        from sampan.guest.tool import format as program

        return program.main(words)
    if name in ("mount", "mountie"):  # the second is LinuxKit's name
        from sampan.guest.tool import mount

        return mount.main(words)
    if name == "metadata":
        from sampan.guest.tool import metadata

        return metadata.main(words)
    if name == "host-timesync-daemon":
        from sampan.guest.tool import timesync

        return timesync.main(words)
    if name == "vsudd":
        from sampan.guest.tool import vsudd

        return vsudd.main(words)
    if name == "vpnkit-forwarder":
        from sampan.guest.tool import forwarder

        return forwarder.main(words)
    if name == "vpnkit-expose-port":
        from sampan.guest.tool import exposeport

        return exposeport.main(words)
    sys.stderr.write(USAGE)
    return 2

"""The command line of `service`, also under the names of LinuxKit's boot scripts."""

from __future__ import annotations

import os
import sys

from sampan.guest.agent.fault import AgentError

USAGE = """\
usage: service list                      the services and how they are
       service status|start|stop|restart NAME
       service stop-all
       service shares|volumes|onboot|onshutdown|supervise   (run by the boot scripts)
"""
# LinuxKit's images link these names in /etc/init.d and /etc/shutdown.d to this program
_SCRIPTS = {
    "004-shares": "shares",
    "005-volumes": "volumes",
    "010-onboot": "onboot",
    "010-onshutdown": "onshutdown",
    "020-containerd": "system-init",
}


def main(argv: list[str]) -> int:
    """Do what `argv` (with the program's name) asks; the exit status."""
    name = os.path.basename(argv[0])
    words = [_SCRIPTS[name]] if name in _SCRIPTS else [word for word in argv[1:] if word[0] != "-"]
    if not words:
        sys.stderr.write(USAGE)
        return 2
    try:
        return _obey(words)
    except AgentError as error:
        sys.stderr.write(f"service: {error}\n")
        return 1


def _obey(words: list[str]) -> int:
    """Run one command. Imports are here because each command needs few modules."""
    command = words[0]
    if command == "volumes":
        from sampan.guest.agent import volume

        volume.mount_all()
        return 0
    if command == "shares":
        from sampan.guest.agent import share

        return share.mount_all(_command_line())
    if command in ("onboot", "onshutdown"):
        from sampan.guest.agent import sequence

        return sequence.run_section(command, sequence.Settings.parse(_command_line()))
    if command == "supervise":
        from sampan.guest.agent import daemon

        return daemon.supervise()
    if command == "hook":
        return _hook(words[1])
    if command == "system-init":
        return 0  # LinuxKit's way to start containerd: here the supervisor does
    from sampan.guest.agent import control

    print(control.ask(" ".join(words)))
    return 0


def _command_line() -> str:
    with open("/proc/cmdline", encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _hook(path: str) -> int:
    """The OCI hook of a container that containerd creates: see `engine.containerd_config`."""
    import json

    from sampan.guest.agent import bundle, container

    container.attach(bundle.load(path).runtime, int(json.load(sys.stdin)["pid"]))
    return 0

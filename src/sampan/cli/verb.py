"""The table of verbs: what `sampan --help` lists, and where each one lives.

A row costs nothing until its verb is used; this is what keeps `sampan --help` fast. Adding a
verb is adding a row, and a module with a click command.
"""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """One verb: `target` is `module:attribute` of its click command; `help` one line."""

    name: str
    target: str
    section: str
    help: str


BUILD = "Build"
RUN = "Run"
HOST = "About this installation"

VERBS = (
    Verb("build", "sampan.cli.build:command", BUILD, "Build a system from its YAML files."),
    Verb("pkg", "sampan.cli.pkg:command", BUILD, "Build and publish packages."),
    Verb("cache", "sampan.cli.cache:command", BUILD, "Look at and change the image cache."),
    Verb("schema", "sampan.cli.schema:command", BUILD, "Print the JSON Schema of the YAML file."),
    Verb("run", "sampan.cli.run:command", RUN, "Boot a built system in a virtual machine."),
    Verb("start", "sampan.cli.start:command", RUN, "Boot machines that were run before."),
    Verb("ps", "sampan.cli.ps:command", RUN, "List machines."),
    Verb("stop", "sampan.cli.stop:command", RUN, "Power machines off."),
    Verb("kill", "sampan.cli.kill:command", RUN, "End machines at once."),
    Verb("rm", "sampan.cli.rm:command", RUN, "Forget machines that do not run, and their files."),
    Verb("exec", "sampan.cli.exec:command", RUN, "Run a program in a machine."),
    Verb("cp", "sampan.cli.cp:command", RUN, "Copy files to a machine, or from it."),
    Verb("console", "sampan.cli.console:command", RUN, "Be on the console of a machine."),
    Verb("logs", "sampan.cli.logs:command", RUN, "Print what consoles said."),
    Verb("inspect", "sampan.cli.inspect:command", RUN, "Print all that is known of machines."),
    Verb("pause", "sampan.cli.pause:command", RUN, "Stop the processors of machines."),
    Verb("suspend", "sampan.cli.suspend:command", RUN, "Save machines to disk and end them."),
    Verb("resume", "sampan.cli.resume:command", RUN, "Let paused or suspended machines go on."),
    Verb("snapshot", "sampan.cli.snapshot:command", RUN, "Save machines that go on, by name."),
    Verb("restore", "sampan.cli.restore:command", RUN, "Put a machine back to a snapshot."),
    Verb("clone", "sampan.cli.clone:command", RUN, "Start new machines from a snapshot."),
    Verb("events", "sampan.cli.events:command", RUN, "Print what happened to machines."),
    Verb("stats", "sampan.cli.stats:command", RUN, "Print what machines use and do."),
    Verb("metadata", "sampan.cli.metadata:command", RUN, "Make discs with data for machines."),
    Verb("net", "sampan.cli.net.group:command", RUN, "Run networks for machines; look into them."),
    Verb("doctor", "sampan.cli.doctor:command", HOST, "Say which host programs are missing."),
    Verb("version", "sampan.cli.version:command", HOST, "Print the version."),
)

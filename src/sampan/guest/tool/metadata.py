"""The program of `sampan/metadata`: what the machine was told by its host, below /run/config.

    metadata [PROVIDER …]        cdrom, or file=PATH; cdrom unless given

A disc is looked for as LinuxKit does: a filesystem called `cidata` (NoCloud) first, then any CD.
`user-data`, else `config`, becomes `userdata` and, if it is JSON, a tree of files (`tree`).
NoCloud's `meta-data` says `local-hostname` and `instance-id`.
"""

from __future__ import annotations

import json
import os
import socket
import stat

from sampan.guest.agent import kernel
from sampan.guest.agent.fault import AgentError
from sampan.guest.agent.mount import Call
from sampan.guest.tool import device, superblock, tree
from sampan.guest.tool.device import Host

_WAIT_S = 3.0
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXECUTION = 0x1, 0x2, 0x4, 0x8
_MAX_BYTES = 64 << 20
_LABELS = ("cidata", "CIDATA")
_MAX_HOSTNAME = 64


class Found:
    """What a provider told: the data for the user, and facts (`hostname`, `instance_id`)."""

    __slots__ = ("facts", "provider", "userdata")

    def __init__(self, provider: str, userdata: bytes, facts: dict[str, str]) -> None:
        self.provider = provider
        self.userdata = userdata
        self.facts = facts


def main(words: list[str], host: Host | None = None, root: str = "/") -> int:
    """Ask each provider until one answers, and write what it said; the exit status."""
    host = host or Host()
    for word in words or ["cdrom"]:
        found = ask(word, host, f"{root}/tmp/metadata")
        if found is not None:
            write(found, f"{root}/run/config")
            return 0
    print("metadata: there is none")
    return 0


def ask(word: str, host: Host, folder: str) -> Found | None:
    """What one provider says; None if it is not there. `folder` is to mount discs at.

    Raises:
        AgentError: its disc cannot be read.
    """
    name, equals, path = word.partition("=")
    if name == "file" and equals:
        return found_in(os.path.dirname(path) or ".", "file", (os.path.basename(path),))
    if name != "cdrom":
        print(f"metadata: {name} is no provider here (cdrom and file=PATH are)")
        return None
    wait_s = _WAIT_S if host.scsi() else 0.0
    device_path = device.await_one(lambda: find_disc(host), wait_s)
    if device_path is None:
        return None
    volume = superblock.probe(device_path)
    kind = "iso9660" if volume is None else volume.kind
    flags = _READ_ONLY | _NO_SETUID | _NO_DEVICES | _NO_EXECUTION
    os.makedirs(folder, exist_ok=True)
    try:
        kernel.mount(Call(device_path, folder, kind, flags, ""))
    except OSError as error:
        raise AgentError(f"cannot mount {device_path}: {error.strerror}") from error
    try:
        return found_in(folder, "cdrom", ("user-data", "config"))
    finally:
        kernel.unmount(folder)


def find_disc(host: Host) -> str | None:
    """The device file of the disc with metadata, if there is one."""
    volumes = host.volumes()
    for path, volume in volumes:
        if volume.label in _LABELS:
            return path
    discs = [host.path(name) for name in host.discs()]
    return next((path for path, _ in volumes if path in discs), None)


def found_in(folder: str, provider: str, names: tuple[str, ...]) -> Found | None:
    """What lies in `folder`: data under the first of `names` that is there, and meta-data."""
    userdata = next((data for name in names if (data := read(f"{folder}/{name}"))), b"")
    facts = parse_facts(read(f"{folder}/meta-data")) if provider == "cdrom" else {}
    return Found(provider, userdata, facts) if userdata or facts else None


def read(path: str) -> bytes:
    """The content of a file, as far as it is one and is there."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError:
        return b""


def parse_facts(data: bytes) -> dict[str, str]:
    """What NoCloud's meta-data says, of what is known here: `key: value` lines, or JSON."""
    known = {"instance-id": "instance_id", "local-hostname": "hostname", "hostname": "hostname"}
    text = data.decode(errors="replace")
    try:
        parsed = json.loads(text)
    except ValueError:
        lines = (line.partition(":") for line in text.splitlines() if line[:1].isalpha())
        parsed = {key.strip(): value.strip().strip("\"'") for key, _, value in lines}
    if not isinstance(parsed, dict):
        return {}
    named = {known[key]: value for key, value in parsed.items() if key in known}
    return {key: value for key, value in named.items() if isinstance(value, str) and value}


def write(found: Found, folder: str) -> None:
    """Write what was found below `folder`, and give this machine its name."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/userdata", "wb") as stream:
        stream.write(found.userdata)
    data = parse_tree(found.userdata)
    base = {
        "provider": {"content": found.provider},
        **{name: {"content": value} for name, value in found.facts.items()},
    }
    problems = tree.write(folder, base)
    if data is not None:
        if data.pop("userdata", None) is not None:
            problems.append("/userdata, which is all of the data as it came")
        problems += tree.write(folder, data)
    for problem in problems:
        print(f"metadata: left out: {_printable(problem)}")
    name = tree.content(data, "hostname").strip() or found.facts.get("hostname", "")
    if name:
        set_hostname(name)
    print(f"metadata: {len(found.userdata)} bytes from {found.provider}")


def parse_tree(userdata: bytes) -> dict[str, object] | None:
    """The data as JSON, None if it is something else, which is no fault."""
    try:
        parsed = json.loads(userdata)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def set_hostname(name: str) -> None:
    """Give this machine a name; one that cannot be is said and left."""
    plain = name.isascii() and all(letter.isalnum() or letter in "-._" for letter in name)
    if len(name) > _MAX_HOSTNAME or not plain:
        print(f"metadata: {name[:80]!a} is no name for a host")
        return
    try:
        socket.sethostname(name)
    except OSError as error:
        print(f"metadata: cannot be called {name}: {error.strerror}")


def _printable(text: str) -> str:
    """`text` for any console; it may hold halves of characters, as JSON does."""
    return text.encode("ascii", "backslashreplace").decode()

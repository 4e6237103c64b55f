"""Folders of the host that a guest sees: what users say, and what cannot be.

A share is mounted by the guest's boot program (`sampan/init`), which reads on the kernel's
command line what to mount where: nothing else has to run in the guest, and containers of
`onboot` find the files there already. A share without a target is for systems that mount its
tag themselves.

Who serves the files is a process of `daemon` (virtiofs) or the hypervisor (9P).
"""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sampan.errors import UsageError
from sampan.machine.device import Owners, Share, ShareKind
from sampan.machine.model import MachineSpec

WORD = "sampan.share="  # read by guest/agent/share.py
MAX_COMMAND_LINE = 2047  # Linux' COMMAND_LINE_SIZE on x86 and arm64, less its NUL
MAX_TAG_BYTES = {
    ShareKind.VIRTIOFS: 36,
    ShareKind.PLAN9: 31,
}  # virtio 1.2, 5.11.4; Linux' 9pnet_virtio
_FORM = re.compile(r"(?P<source>.+?):(?P<target>/[^:]*)(?::(?P<words>[a-z0-9,=]*))?")
_TARGET = re.compile(r"(?:/[A-Za-z0-9@%+=_.,~-]+)+")
_TAG = re.compile(r"[A-Za-z0-9@%+=_.~-]+")
_RESERVED = ("/containers", "/dev", "/proc", "/sys")


def parse(texts: Sequence[str]) -> tuple[Share, ...]:
    """The shares that `--share HOST:GUEST[:ro,9p,events]` asks for, with tags share0 ….

    A word `owners=host` or `owners=attributes` may be there, too.

    Raises:
        UsageError: one says nothing that could be.
    """
    return tuple(_parse(text, f"share{index}") for index, text in enumerate(texts))


def tagged(folders: Sequence[str]) -> tuple[Share, ...]:
    """The shares of `--virtiofs DIR`, which the system mounts itself, with tags virtiofs0 …."""
    return tuple(
        Share(source=Path(folder).absolute(), tag=f"virtiofs{index}")
        for index, folder in enumerate(folders)
    )


def _parse(text: str, tag: str) -> Share:
    form = _FORM.fullmatch(text)
    if form is None:
        raise UsageError(
            f"--share: {text!r} does not say what to share, and where",
            hint="say HOST:GUEST, for instance .:/src, or ~/data:/data:ro",
        )
    read_only, kind, events, owners = False, ShareKind.VIRTIOFS, False, None
    for word in (form["words"] or "rw").split(","):
        match word:
            case "ro" | "rw":
                read_only = word == "ro"
            case "virtiofs" | "9p":
                kind = ShareKind(word)
            case "events":
                events = True
            case "owners=host" | "owners=attributes":
                owners = Owners(word.removeprefix("owners="))
            case _:
                raise UsageError(
                    f"--share: {word!r} in {text!r} is nothing a share can be",
                    hint="say ro or rw, virtiofs or 9p, events, owners=host or owners=attributes; "
                    "several with a comma between",
                )
    return Share(
        source=Path(form["source"]).absolute(), tag=tag, target=form["target"].rstrip("/") or "/",
        read_only=read_only, kind=kind, events=events, owners=owners,
    )  # fmt: skip


def check(shares: Iterable[Share]) -> None:
    """Refuse shares that cannot be.

    Raises:
        UsageError: a source is no folder, a target or tag cannot be used, or is there twice.
    """
    shares = tuple(shares)
    for share in shares:
        _check_names(share)
        _check_kind(share)
        _check_source(share)
    for what, names in (
        ("mounted at", [share.target for share in shares if share.target]),
        ("called", [share.tag for share in shares]),
    ):
        [(name, count)] = Counter(names).most_common(1) or [("", 0)]
        if count > 1:
            raise UsageError(f"{count} shares cannot all be {what} {name}")


def _check_names(share: Share) -> None:
    limit = MAX_TAG_BYTES[share.kind]
    if not _TAG.fullmatch(share.tag) or len(share.tag) > limit:
        raise UsageError(
            f"{share.tag!r} cannot be the tag of a share",
            hint=f"letters, digits and @%+=_.~- will do, up to {limit} of them",
        )
    target = share.target
    if not target:
        return
    parts = set(target.split("/"))
    if not _TARGET.fullmatch(target) or parts & {".", ".."}:
        raise UsageError(
            f"cannot mount a share at {target!r}",
            hint="say the whole path of a folder, of letters, digits and @%+=_.,~-",
        )
    if any(target == each or target.startswith(f"{each}/") for each in _RESERVED):
        raise UsageError(f"cannot mount a share at {target}: the system needs that folder itself")


def _check_kind(share: Share) -> None:
    is_possible = share.kind is ShareKind.VIRTIOFS and share.target and not share.read_only
    if share.events and not is_possible:
        raise UsageError(
            f"changes of {share.source} cannot be told to the guest",
            hint="events need virtiofs, a target, and a share that can be written",
        )
    if share.owners is not None and share.kind is ShareKind.PLAN9:
        raise UsageError(
            f"{share.source} is shared by 9P, which keeps owners in attributes",
            hint=f"leave owners={share.owners} away",
        )


def _check_source(share: Share) -> None:
    source = share.source
    if not source.is_dir():
        what = "not a folder" if source.exists() else "not there"
        raise UsageError(f"cannot share {source}: it is {what}")
    if not os.access(source, os.R_OK | os.X_OK):
        raise UsageError(f"cannot share {source}: you may not read it")
    is_plan9 = share.kind is ShareKind.PLAN9
    needs_attributes = is_plan9 or share.owners is Owners.ATTRIBUTES
    if needs_attributes and not share.read_only and not _keeps_attributes(source):
        raise UsageError(
            f"cannot share {source} for writing: its file system keeps no extended attributes",
            hint="owners are kept in those: share it read-only, or "
            + ("by virtiofs" if is_plan9 else "with owners=host"),
        )


def _keeps_attributes(folder: Path) -> bool:
    """Whether files of `folder` can have `user.` attributes."""
    if not hasattr(os, "listxattr"):  # macOS has them everywhere, under another function
        return True
    try:
        os.getxattr(folder, "user.sampan.probe")
    except OSError as error:
        return error.errno != errno.ENOTSUP
    return True


def command_line(spec: MachineSpec) -> str:
    """The kernel's command line, with what the guest's boot program is to mount.

    Raises:
        UsageError: it would be longer than a kernel reads.
    """
    words = [WORD + _word(share) for share in spec.shares if share.target]
    if not words:
        return spec.cmdline
    line = " ".join(filter(None, [spec.cmdline, *words]))
    if len(line.encode()) > MAX_COMMAND_LINE:
        raise UsageError(
            f"{len(words)} shares do not fit on the kernel's command line",
            hint="share a folder that has the others in it",
        )
    return line


def _word(share: Share) -> str:
    return ":".join([share.tag, share.kind, share.target, *(["ro"] if share.read_only else [])])

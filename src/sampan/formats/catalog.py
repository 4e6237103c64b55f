"""The output formats by name: what there is, and what is known from LinuxKit but not there yet."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sampan.errors import UnsupportedError, UsageError


class Format(msgspec.Struct, frozen=True):
    """An output format: the files it writes, as what follows the system's name.

    `streams`: it is one file, which can go to standard output or any path.
    """

    name: str
    suffixes: tuple[str, ...]
    streams: bool = False


FORMATS = {
    one.name: one
    for one in (
        Format("kernel+initrd", ("-kernel", "-initrd.img", "-cmdline")),
        Format("tar", (".tar",), streams=True),
        Format("docker", (".docker",), streams=True),
        Format("tar-kernel-initrd", ("-initrd.tar",)),
    )
}
NOT_YET = (
    "aws", "dynamic-vhd", "gcp", "iso-bios", "iso-efi", "iso-efi-initrd", "kernel+erofs",
    "kernel+iso", "kernel+squashfs", "qcow2-bios", "qcow2-efi", "raw-bios", "raw-efi", "rpi3",
    "vhd", "vmdk",
)  # fmt: skip


def choose(names: Iterable[str]) -> tuple[Format, ...]:
    """The formats of these names, each once.

    Raises:
        UnsupportedError: one is known but not there yet.
        UsageError: there is no such format.
    """
    there_are = f"formats: {', '.join(FORMATS)}"
    for name in names:
        if name in NOT_YET:
            raise UnsupportedError(
                f"the format {name}", "this version of sampan", "it is not there yet",
                instead=there_are,
            )  # fmt: skip
        if name not in FORMATS:
            raise UsageError(f"there is no format {name!r}", hint=there_are)
    return tuple(FORMATS[name] for name in dict.fromkeys(names))

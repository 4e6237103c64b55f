"""QEMU's words for shares; pure.

Virtiofs is a device whose back end (virtiofsd) listens on a Unix socket, and which reads and
writes the guest's memory: that has to be shared, see `qemu_argv`. 9P is served by QEMU itself,
which keeps owners, modes, device nodes and links that the guest makes in extended attributes
of plain files: `chown` in the guest needs no privilege on the host, and a setuid program or a
device of the guest is none on the host.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.machine.device import Share, ShareKind
from sampan.machine.model import Accelerator, MachineSpec


def words(spec: MachineSpec, accel: Accelerator, paths: Sequence[str]) -> tuple[str, ...]:
    """The words for all shares; `paths` are where virtiofs back ends listen, in their order."""
    found: list[str] = []
    listening = iter(paths)
    for index, share in enumerate(spec.shares):
        if share.kind is ShareKind.VIRTIOFS:
            found += _virtiofs(index, share, accel, next(listening))
        else:
            found += _plan9(index, share)
    return tuple(found)


def shares_memory(spec: MachineSpec) -> bool:
    """Whether a back end of a share has to see the guest's memory."""
    return any(share.kind is ShareKind.VIRTIOFS for share in spec.shares)


def _virtiofs(index: int, share: Share, accel: Accelerator, path: str) -> tuple[str, ...]:
    # without KVM no message interrupts of a back end: see the network in `qemu_argv`
    vectors = "" if accel is Accelerator.KVM else ",vectors=0"
    return (
        "-chardev", f"socket,id=share{index},path={_escape(path)}",
        "-device", f"vhost-user-fs-pci,chardev=share{index},tag={_escape(share.tag)}{vectors}",
    )  # fmt: skip


def _plan9(index: int, share: Share) -> tuple[str, ...]:
    options = [
        "local", f"id=share{index}", f"path={_escape(str(share.source))}",
        "security_model=mapped-xattr",
        "multidevs=remap",  # files of several file systems below one folder stay different files
        *(["readonly=on"] if share.read_only else []),
    ]  # fmt: skip
    device = f"virtio-9p-pci,fsdev=share{index},mount_tag={_escape(share.tag)}"
    return ("-fsdev", ",".join(options), "-device", device)


def _escape(text: str) -> str:
    return text.replace(",", ",,")

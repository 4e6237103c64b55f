"""The vsock device on QEMU's command line, and as it is plugged in while a machine runs. Pure.

QEMU cannot save a machine that has a vhost-user device; whoever saves one unplugs it (`DEVICE`)
and plugs it in again, with the same back end (`CHARDEV`), by `properties`. Its message interrupts
work without KVM, too, unlike those of a vhost-user network card.
"""

from __future__ import annotations

from sampan.machine.model import Accelerator, Arch, MachineSpec

DEVICE = "vsock0"
CHARDEV = "vsock"
_PORT = "vsock-port"


def properties(spec: MachineSpec, accel: Accelerator) -> dict[str, str]:
    """What QMP's `device_add` takes."""
    made = {"driver": "vhost-user-vsock-pci", "id": DEVICE, "chardev": CHARDEV}
    return {**made, "bus": _PORT} if _has_pcie(spec, accel) else made


def words(
    spec: MachineSpec, accel: Accelerator, path: str, *, is_plugged_in: bool = True
) -> tuple[str, ...]:
    """The words for a machine whose back end listens at `path` (escaped); none without vsock.

    Unless `is_plugged_in`, all is there but the device itself.
    """
    if spec.vsock is None:
        return ()
    port: tuple[str, ...] = ()
    if _has_pcie(spec, accel):  # where nothing can be plugged in but below a port
        port = ("-device", f"pcie-root-port,id={_PORT},chassis=62")
    device = properties(spec, accel)
    driver = device.pop("driver")
    options = ",".join([driver, *(f"{name}={value}" for name, value in device.items())])
    plugged = ("-device", options) if is_plugged_in else ()
    return ("-chardev", f"socket,id={CHARDEV},path={path}", *port, *plugged)


def _has_pcie(spec: MachineSpec, accel: Accelerator) -> bool:
    """Whether the machine's type (see `qemu_argv`) has PCI Express."""
    return spec.arch is Arch.ARM64 or accel is not Accelerator.TCG

"""The words of QEMU's command line for the agent's channel: a virtio serial port with a name.

Not vsock, because a machine with this device can be saved and restored.
"""

from __future__ import annotations

PORT = "dev.sampan.agent.0"  # the guest finds it by this: /sys/class/virtio-ports/*/name


def words(fd: int | None) -> tuple[str, ...]:
    """The device, whose host side is the listening socket `fd`; none without one."""
    if fd is None:
        return ()
    return (
        "-chardev", f"socket,id=agent,fd={fd},server=on,wait=off",
        "-device", "virtio-serial-pci,id=serial0,max_ports=2",
        "-device", f"virtserialport,id=agent0,bus=serial0.0,chardev=agent,name={PORT}",
    )  # fmt: skip

"""The machine kit: virtual machines as values, and as objects that live and end.

Knows nothing of images, documents or registries: it is given a kernel and an initrd. It does
not know Sampan's network either: a machine takes the descriptor of a link, and
`sampan.desktop.session` is the place that joins kits. For instance::

    from sampan import machine

    spec = machine.MachineSpec(kernel=Path("web-kernel"), initrd=Path("web-initrd.img"))
    with machine.launch(spec) as vm:
        vm.console.expect("services running", timeout_s=60)
        vm.power_off()

`machine.VM.launch` is the same for asyncio.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.machine.blocking import Machine, clones, launch, resume
    from sampan.machine.body import LaunchOptions
    from sampan.machine.device import Disk, DiskFormat, Owners, Share, ShareKind, Vsock
    from sampan.machine.forward import Forward
    from sampan.machine.lifecycle import VM
    from sampan.machine.model import Accelerator, Arch, End, Ending, MachineSpec, Network

__all__ = [
    "VM",
    "Accelerator",
    "Arch",
    "Disk",
    "DiskFormat",
    "End",
    "Ending",
    "Forward",
    "LaunchOptions",
    "Machine",
    "MachineSpec",
    "Network",
    "Owners",
    "Share",
    "ShareKind",
    "Vsock",
    "clones",
    "launch",
    "resume",
]

_HOMES = {
    "VM": "lifecycle",
    "Accelerator": "model",
    "Arch": "model",
    "Disk": "device",
    "DiskFormat": "device",
    "End": "model",
    "Ending": "model",
    "Forward": "forward",
    "LaunchOptions": "body",
    "Machine": "blocking",
    "MachineSpec": "model",
    "Network": "model",
    "Owners": "device",
    "Share": "device",
    "ShareKind": "device",
    "Vsock": "device",
    "clones": "blocking",
    "launch": "blocking",
    "resume": "blocking",
}


def __getattr__(name: str) -> object:
    # all of it takes a quarter of a second to import, and pytest imports a module from here
    # at every start (`pytest_plugin`)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

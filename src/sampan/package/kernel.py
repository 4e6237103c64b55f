"""Turns an unpacked Debian kernel into LinuxKit's kernel image: `/kernel` and `/kernel.tar`.

`/kernel.tar` holds `lib/modules/VERSION` with the chosen modules, uncompressed unless the recipe
says otherwise: not every kernel can unpack them itself. What
modules say about themselves and the tables made of it are in `sampan.package.module`.
"""

from __future__ import annotations

import functools
import io
import tempfile
from collections.abc import Callable, Sequence

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.oci.compression import open_decompressed
from sampan.package import module, tarball
from sampan.package.recipe import Kernel
from sampan.package.stage import Node, Stage

_CHUNK = 1 << 20
_MODULE_LIMIT = 64 << 20  # bytes; the largest of Debian's has 9 MiB
_KEPT_TABLES = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


class KernelError(SampanError):
    """The packages hold no kernel, or more than one, or a module of it is broken."""


def arrange(stage: Stage, wanted: Kernel, architecture: str) -> None:
    """Replace the kernel of `stage` by `/kernel` and `/kernel.tar`.

    Raises:
        KernelError: there is not exactly one `/boot/vmlinuz-VERSION` with its modules.
        ModuleError: a module that is asked for does not exist.
    """
    images = [node for node in stage if node.entry.name.startswith("boot/vmlinuz-")]
    if len(images) != 1:
        names = ", ".join(node.entry.name for node in images) or "none"
        raise KernelError(f"one /boot/vmlinuz-… is needed; the packages have {names}")
    version = images[0].entry.name.removeprefix("boot/vmlinuz-")
    folder = _module_folder(stage, version)
    patterns = wanted.modules_for(architecture)
    members = _members(stage, folder, version, patterns, compressed=wanted.compressed)
    with tempfile.TemporaryFile() as archive:
        tarball.write_members(archive, members)
        archive.seek(0)
        stage.add(Entry("kernel.tar", Kind.FILE, 0o644), iter(lambda: archive.read(_CHUNK), b""))
    stage.move(images[0].entry.name, "kernel")
    stage.filter(lambda name: name in ("kernel", "kernel.tar") or _is_copyright(name))


def _is_copyright(name: str) -> bool:
    return name.startswith("usr/share/doc/") and name.endswith("/copyright")


def _module_folder(stage: Stage, version: str) -> str:
    for folder in (f"usr/lib/modules/{version}", f"lib/modules/{version}"):
        if folder in stage:
            return folder
    raise KernelError(f"the packages have no /lib/modules/{version}")


def _members(
    stage: Stage, folder: str, version: str, patterns: Sequence[str], *, compressed: bool
) -> list[tarball.Member]:
    nodes = {
        node.entry.name.removeprefix(f"{folder}/"): node
        for node in stage
        if node.entry.name.startswith(f"{folder}/") and node.entry.kind is Kind.FILE
    }
    sources = {
        path if compressed else _plain(path): node
        for path, node in nodes.items()
        if module.is_module(path)
    }
    facts = {name: stage.read(nodes[name]) for name in _KEPT_TABLES if name in nodes}
    listed = facts.get("modules.builtin", b"").decode(errors="replace")
    builtin = {module.module_name(path) for path in listed.split()}
    chosen = module.choose(
        sources,
        patterns,
        lambda path: module.read_module(path, _elf(stage, sources[path])),
        builtin=builtin,
    )
    tables = {
        "modules.dep": module.dependency_table(chosen),
        "modules.alias": module.alias_table(chosen),
        "modules.symbols": module.symbol_table(chosen),
        "modules.softdep": module.soft_dependency_table(chosen),
    }
    content: dict[str, Callable[[], bytes]] = {name: text.encode for name, text in tables.items()}
    binary = module.binary_tables(chosen, builtin, facts.get("modules.builtin.modinfo", b""))
    content |= {name: functools.partial(bytes, data) for name, data in (facts | binary).items()}
    read = stage.read if compressed else functools.partial(_elf, stage)
    content |= {item.path: functools.partial(read, sources[item.path]) for item in chosen}
    return tarball.with_parents(
        tarball.file(f"lib/modules/{version}/{path}", data) for path, data in content.items()
    )


def _plain(path: str) -> str:
    return f"{path.rpartition('.ko')[0]}.ko"


def _elf(stage: Stage, node: Node) -> bytes:
    """The uncompressed bytes of a module file."""
    name = f"/{node.entry.name}"
    data = open_decompressed(io.BytesIO(stage.read(node)), what=name).read(_MODULE_LIMIT + 1)
    if len(data) > _MODULE_LIMIT:
        raise KernelError(f"{name}: larger than {_MODULE_LIMIT >> 20} MiB")
    return data

"""Kernel modules as files: what each says about itself, and the tables `modprobe` reads.

Debian's kernel packages come without `modules.dep`: a maintainer script would run depmod(8).
This makes the same tables out of the modules themselves, for a chosen set closed under its
dependencies. Pure: bytes in, text out; knows nothing of packages or of the running kernel.
"""

from __future__ import annotations

import fnmatch
import re
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sampan.errors import SampanError
from sampan.package import trie

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr, elf(5)
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_BUILTIN_ALIAS = re.compile(r"(?:^|\0)([^.\0]+)\.alias=([^\0]+)")
_ELF64_LITTLE = b"\x7fELF\x02\x01"


class ModuleError(SampanError):
    """A kernel module cannot be read, or one that was asked for does not exist."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module. `path` is relative to `/lib/modules/VERSION`; names are written with `_`.

    `before` and `after` are soft dependencies: modules to load around this one if they exist.
    """

    name: str
    path: str
    depends: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


def is_module(path: str) -> bool:
    """Whether a file of that name is a kernel module, compressed or not."""
    return path.endswith(_SUFFIXES)


def canonical(name: str) -> str:
    """A module's name as the kernel has it: `virtio-rng` → `virtio_rng`."""
    return name.replace("-", "_")


def module_name(path: str) -> str:
    """The name of the module in file `path`: `kernel/…/virtio-rng.ko.xz` → `virtio_rng`."""
    return canonical(path.rpartition("/")[2].partition(".ko")[0])


def read_module(path: str, elf: bytes) -> Module:
    """The module whose file is to be at `path` and whose uncompressed bytes are `elf`.

    Raises:
        ModuleError: not a kernel module (64-bit, little-endian ELF with a `.modinfo` section).
    """
    sections = _sections(path, elf)
    if b".modinfo" not in sections:
        raise ModuleError(f"{path}: no .modinfo section, so not a kernel module")
    facts: dict[str, list[str]] = {"depends": [], "softdep": [], "alias": []}
    for record in sections[b".modinfo"].split(b"\0"):
        key, _, value = record.decode(errors="replace").partition("=")
        if key in facts:
            facts[key].append(value)
    before, after = _soft_dependencies(facts["softdep"])
    symbols = sections.get(b"__ksymtab_strings", b"").split(b"\0")
    return Module(
        name=module_name(path),
        path=path,
        depends=tuple(canonical(n) for text in facts["depends"] for n in text.split(",") if n),
        before=before,
        after=after,
        aliases=tuple(facts["alias"]),
        symbols=tuple(sorted({name.decode(errors="replace") for name in symbols if name})),
    )


def choose(
    paths: Iterable[str],
    patterns: Sequence[str],
    read: Callable[[str], Module],
    *,
    builtin: Collection[str] = (),
) -> tuple[Module, ...]:
    """The modules that `patterns` name and all that those depend on, sorted by path.

    `paths` are the files of all modules, of which only the chosen ones are read. Soft
    dependencies are followed where the module exists; `builtin` are names of what the kernel
    has in itself, so that nothing has to be chosen for it.

    Raises:
        ModuleError: a pattern names no module.
    """
    by_name = {module_name(path): path for path in paths}
    pending: list[str] = []
    unknown: list[str] = []
    for pattern in patterns:
        found = fnmatch.filter(by_name, canonical(pattern))
        pending += found
        if not found and not fnmatch.filter(builtin, canonical(pattern)):
            unknown.append(pattern)
    if unknown:
        raise ModuleError(
            f"the kernel has no module {', '.join(unknown)}",
            hint="write `NAME [amd64]` for one that only some architectures have",
        )
    chosen: dict[str, Module] = {}
    while pending:
        name = pending.pop()
        if name in by_name and name not in chosen:  # otherwise it is built in
            module = chosen[name] = read(by_name[name])
            pending += [*module.depends, *module.before, *module.after]
    return tuple(sorted(chosen.values(), key=lambda module: module.path))


def dependency_table(modules: Sequence[Module]) -> str:
    """`modules.dep`: each module with all that it needs; what is to be loaded first is last."""
    return "".join(f"{line}\n" for line in _dependency_lines(modules))


def alias_table(modules: Sequence[Module]) -> str:
    """`modules.alias`: which module drives which device, file system or protocol."""
    return "".join(
        f"alias {alias} {module.name}\n" for module in modules for alias in module.aliases
    )


def symbol_table(modules: Sequence[Module]) -> str:
    """`modules.symbols`: which module exports which symbol."""
    return "".join(
        f"alias symbol:{symbol} {module.name}\n" for module in modules for symbol in module.symbols
    )


def binary_tables(
    modules: Sequence[Module], builtin: Iterable[str], builtin_facts: bytes = b""
) -> dict[str, bytes]:
    """The same tables by their file names in the form that kmod's modprobe reads.

    `builtin` are the names of what the kernel has in itself; `builtin_facts` is the content of
    `modules.builtin.modinfo`, which has their aliases.
    """
    lines = enumerate(zip(modules, _dependency_lines(modules), strict=True))
    return {
        "modules.dep.bin": trie.encode((module.name, line, rank) for rank, (module, line) in lines),
        "modules.alias.bin": trie.encode(
            (_normal_alias(alias), module.name, rank)
            for rank, module in enumerate(modules)
            for alias in module.aliases
        ),
        "modules.symbols.bin": trie.encode(
            (f"symbol:{symbol}", module.name, rank)
            for rank, module in enumerate(modules)
            for symbol in module.symbols
        ),
        "modules.builtin.bin": trie.encode((name, "", 0) for name in sorted(set(builtin))),
        "modules.builtin.alias.bin": trie.encode(
            (_normal_alias(alias), canonical(name), 0)
            for name, alias in _BUILTIN_ALIAS.findall(builtin_facts.decode(errors="replace"))
        ),
    }


def soft_dependency_table(modules: Sequence[Module]) -> str:
    """`modules.softdep`."""
    lines = []
    for module in modules:
        words = [*(["pre:", *module.before] if module.before else [])]
        words += ["post:", *module.after] if module.after else []
        if words:
            lines.append(f"softdep {module.name} {' '.join(words)}\n")
    return "".join(lines)


def _dependency_lines(modules: Sequence[Module]) -> list[str]:
    by_name = {module.name: module for module in modules}
    return [
        " ".join([f"{module.path}:", *(by_name[name].path for name in _needs(module, by_name))])
        for module in modules
    ]


def _normal_alias(alias: str) -> str:
    """An alias with `_` for each `-` that is not inside brackets, as kmod looks it up."""
    parts = re.split(r"(\[[^\]]*\])", alias)
    return "".join(part if part.startswith("[") else canonical(part) for part in parts)


def _soft_dependencies(texts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found: dict[str, list[str]] = {"pre:": [], "post:": []}
    for text in texts:
        kind = "pre:"
        for word in text.split():
            if word in found:
                kind = word
            else:
                found[kind].append(canonical(word))
    return tuple(found["pre:"]), tuple(found["post:"])


def _needs(module: Module, by_name: Mapping[str, Module]) -> tuple[str, ...]:
    """All modules that `module` needs, each before those that it needs itself."""
    done: dict[str, None] = {}

    def visit(name: str, trail: frozenset[str]) -> None:
        if name in done or name in trail or name not in by_name:
            return  # seen, a circle, or built in
        for below in by_name[name].depends:
            visit(below, trail | {name})
        done[name] = None

    for name in module.depends:
        visit(name, frozenset({module.name}))
    return tuple(reversed(done))


def _sections(path: str, elf: bytes) -> dict[bytes, bytes]:
    """The contents of the named sections that say what the module is."""
    try:
        header = _HEADER.unpack_from(elf)
        if not elf.startswith(_ELF64_LITTLE):
            raise ModuleError(f"{path}: not a 64-bit little-endian ELF file")
        table, size, count, names = header[6], header[11], header[12], header[13]
        headers = [_SECTION.unpack_from(elf, table + index * size) for index in range(count)]
        found = {}
        for section in headers:
            start = headers[names][4] + section[0]
            name = elf[start : elf.index(b"\0", start)]
            if name in (b".modinfo", b"__ksymtab_strings"):
                found[name] = elf[section[4] : section[4] + section[5]]
    except (struct.error, IndexError, ValueError) as error:
        raise ModuleError(f"{path}: broken ELF file") from error
    return found

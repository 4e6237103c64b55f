"""A machine's spec as a document: JSON for programs, YAML for people, the same fields.

For instance::

    kernel: web-kernel
    initrd: web-initrd.img
    mem_mib: 512
    disks:
      - path: data.img

All fields are written, and those with a default need not be there to be read. What is read may
come from anywhere: its size and depth are bounded, a field that is not known is refused. `enc` and `dec` are for whoever keeps
specs inside documents of its own (`machine.registry.store`).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sampan.errors import UsageError
from sampan.machine.model import MachineSpec

MAX_BYTES = 1 << 20

_Document = TypeVar("_Document")


def enc(value: object) -> str:
    """Paths as text, for `enc_hook` of msgspec.

    Raises:
        UsageError: a path is not UTF-8, which JSON cannot say.
    """
    assert isinstance(value, Path)
    return str(value)


def dec(kind: type, value: Any, *, folder: Path | None = None) -> Any:  # noqa: ANN401
    """Text as paths, for `dec_hook` of msgspec; relative ones are below `folder`."""
    if not issubclass(kind, Path):
        raise NotImplementedError(f"no document holds a {kind.__name__}")
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"expected a path, got {value!r}")
    return Path(value) if folder is None else folder / value


def to_json(spec: MachineSpec) -> bytes:
    """The spec as JSON, indented, with a newline at its end.

    Raises:
        UsageError: a path or text of it is not UTF-8.
    """
    return msgspec.json.format(_encoded(spec, "a machine's spec"), indent=2) + b"\n"


def to_yaml(spec: MachineSpec) -> str:
    """The spec as YAML.

    Raises:
        UsageError: a path or text of it is not UTF-8.
    """
    from sampan.machine import strictyaml

    return strictyaml.write(msgspec.json.decode(_encoded(spec, "a machine's spec")))


def from_json(data: bytes, *, name: str, folder: Path | None = None) -> MachineSpec:
    """The spec that a JSON document describes; `name` is what errors call it.

    Raises:
        DocumentError: it is no such document; it says where, and which field.
    """
    from sampan.machine import fault

    text = fault.text(data, name, MAX_BYTES)
    try:
        plain = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise fault.malformed(text, name, error) from error
    except RecursionError as error:
        raise fault.unplaced(name, "nested too deeply") from error
    return _converted(plain, text, name, folder)


def from_yaml(data: bytes, *, name: str, folder: Path | None = None) -> MachineSpec:
    """The spec that a YAML (or JSON) document describes; `name` is what errors call it.

    Raises:
        DocumentError: it is no such document; it says where, and which field.
    """
    from sampan.machine import fault, strictyaml

    text = fault.text(data, name, MAX_BYTES)
    return _converted(strictyaml.read(text, name=name), text, name, folder)


def load(path: Path) -> MachineSpec:
    """The spec in a file, JSON if it is called so, else YAML; its paths are relative to it.

    Raises:
        UsageError: it cannot be read.
        DocumentError: it is no spec; it says where, and which field.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    read = from_json if path.suffix == ".json" else from_yaml
    return read(data, name=str(path), folder=path.parent)


def rooted(spec: MachineSpec) -> MachineSpec:
    """The spec with paths that lead to the same files from anywhere."""
    replace = msgspec.structs.replace
    vsock = spec.vsock
    if vsock is not None and vsock.folder is not None:
        vsock = replace(vsock, folder=vsock.folder.absolute())
    return replace(
        spec,
        kernel=spec.kernel.absolute(),
        initrd=None if spec.initrd is None else spec.initrd.absolute(),
        discs=tuple(each.absolute() for each in spec.discs),
        disks=tuple(replace(each, path=each.path.absolute()) for each in spec.disks),
        shares=tuple(replace(each, source=each.source.absolute()) for each in spec.shares),
        vsock=vsock,
    )


def encode(value: msgspec.Struct, *, name: str) -> bytes:
    """Any document with paths in it as JSON, indented; `name` is what errors call it.

    Raises:
        UsageError: a path or text of it is not UTF-8.
    """
    return msgspec.json.format(_encoded(value, name), indent=2) + b"\n"


def decode(
    data: bytes, kind: type[_Document], *, name: str, folder: Path | None = None
) -> _Document:
    """The `kind` that a JSON document describes; `name` is what errors call it.

    Raises:
        UsageError: it is no such document; the message names the field.
    """
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: longer than {MAX_BYTES >> 10} KiB")
    try:
        hook = functools.partial(dec, folder=folder)
        return msgspec.json.decode(data, type=kind, dec_hook=hook)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        message, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        where = f"{name}: {field}" if field else name
        raise UsageError(f"{where}: {message[:1].lower()}{message[1:]}") from error
    except RecursionError as error:
        raise UsageError(f"{name}: nested too deeply") from error


def _encoded(value: msgspec.Struct, name: str) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=enc)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{name} cannot be written down: {error.object!a} is not UTF-8",
            hint="give the file a name in UTF-8",
        ) from error


def _converted(plain: object, text: str, name: str, folder: Path | None) -> MachineSpec:
    try:
        return msgspec.convert(plain, MachineSpec, dec_hook=functools.partial(dec, folder=folder))
    except msgspec.ValidationError as error:
        from sampan.machine import fault

        raise fault.invalid(text, name, error) from error

"""Small Debian packages and kernel modules, made here."""

import io
import lzma
import struct
import tarfile

import pytest

from sampan.package.stage import Stage


def _tar(members):
    """A tar of `members`: TarInfo and bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _member(name, value):
    info = tarfile.TarInfo(f"./{name}")
    info.mode = 0o755
    if value is None:
        info.type = tarfile.DIRTYPE
        return info, b""
    if isinstance(value, str) and value.startswith("-> "):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, value[3:], 0o777
        return info, b""
    if isinstance(value, str) and value.startswith("= "):
        info.type, info.linkname = tarfile.LNKTYPE, f"./{value[2:]}"
        return info, b""
    return info, value if isinstance(value, bytes) else value.encode()


def ar(members):
    out = b"!<arch>\n"
    for name, data, mtime in members:
        out += f"{name:<16}{mtime:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


@pytest.fixture
def make_deb(tmp_path):
    """`make_deb(name, files, …)` writes a package and returns its path.

    `files` maps a path to bytes or text; None is a directory, `-> X` a link, `= X` a hard link.
    """

    def make(name, files, *, version="1.0-1", date_s=1_700_000_000, architecture="amd64", **fields):
        fields = {"Package": name, "Version": version, "Architecture": architecture} | fields
        control = "".join(f"{key}: {value}\n" for key, value in fields.items())
        path = tmp_path / "archives" / f"{name}_{version}_{architecture}.deb"
        path.parent.mkdir(exist_ok=True)
        data = [_member(place, value) for place, value in files.items()]
        members = [
            ("debian-binary", b"2.0\n", date_s),
            ("control.tar.xz", lzma.compress(_tar([_member("control", control)])), date_s),
            ("data.tar.xz", lzma.compress(_tar(data)), date_s),
        ]
        path.write_bytes(ar(members))
        return path

    return make


@pytest.fixture
def make_ar():
    return ar


@pytest.fixture
def make_module():
    """`make_module(depends=[…], alias=[…], …)` gives the bytes of a kernel module."""

    def make(*, symbols=(), **facts):
        records = [f"{key}={value}" for key, values in facts.items() for value in values]
        modinfo = b"".join(record.encode() + b"\0" for record in records)
        strings = b"".join(name.encode() + b"\0" for name in symbols)
        names = b"\0.modinfo\0__ksymtab_strings\0.shstrtab\0"
        bodies = [b"", modinfo, strings, names]
        offsets, position = [], 64
        for body in bodies:
            offsets.append(position)
            position += len(body)
        header = struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\x02\x01\x01", 1, 62, 1, 0, 0, position, 0, 64, 0, 0, 64, 4, 3,
        )  # fmt: skip
        table = b"".join(
            struct.pack("<IIQQQQIIQQ", names.index(name), 1, 0, 0, offset, len(body), 0, 0, 1, 0)
            for name, offset, body in zip(
                (b"\0", b".modinfo", b"__ksymtab_strings", b".shstrtab"),
                offsets,
                bodies,
                strict=True,
            )
        )
        return header + b"".join(bodies) + table

    return make


@pytest.fixture
def stage(tmp_path):
    with Stage(tmp_path / "spool") as made:
        yield made


@pytest.fixture
def package(tmp_path):
    """`package(text, files)` writes a package's folder."""

    def make(text, files=None):
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        (folder / "build.yml").write_text(text)
        for name, content in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return folder

    return make

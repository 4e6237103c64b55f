import bz2
import gzip
import io
import lzma

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from sampan.formats import kernel
from sampan.formats.kernel import Kernel, KernelError
from sampan.oci.compression import DamagedStreamError

VMLINUX = b"\x7fELF" + b"code" * 5000


def bzimage(version="6.12.9-amd64", payload=b"", protocol=0x20F):
    """The smallest file with the fields that are read."""
    head = bytearray(0x600)
    head[0x1F1] = 2
    head[0x202:0x206] = b"HdrS"
    head[0x206:0x208] = protocol.to_bytes(2, "little")
    head[0x20E:0x210] = (0x300 - 0x200).to_bytes(2, "little")
    head[0x248:0x24C] = (0).to_bytes(4, "little")
    head[0x24C:0x250] = len(payload).to_bytes(4, "little")
    text = f"{version} (someone@there) #1 SMP\0".encode()
    head[0x300 : 0x300 + len(text)] = text
    return bytes(head) + payload


@pytest.mark.parametrize(
    ("version", "release", "zstd_"),
    [
        ("6.12.9-amd64", (6, 12), True),
        ("5.9.0", (5, 9), True),
        ("5.8.18", (5, 8), False),
        ("4.9.36-moby", (4, 9), False),
        ("odd", None, True),
    ],
)
def test_the_version_and_what_it_can_unpack(tmp_path, version, release, zstd_):
    path = tmp_path / "kernel"
    path.write_bytes(bzimage(version))
    found = kernel.read_kernel(path)
    assert (found.version, found.release, found.unpacks_zstd) == (version, release, zstd_)


@pytest.mark.parametrize("data", [b"", b"MZ" + bytes(2000), b"x" * 10])
def test_other_files_are_kernels_without_facts(tmp_path, data):
    path = tmp_path / "kernel"
    path.write_bytes(data)
    assert kernel.read_kernel(path) == Kernel()


@given(st.binary(max_size=1200))
def test_junk_with_the_mark_of_a_kernel(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("k") / "kernel"
    path.write_bytes((junk.ljust(0x202, b"\0")[:0x202] + b"HdrS" + junk).ljust(0x300, b"\xff"))
    assert kernel.read_kernel(path).version is not None


@pytest.mark.parametrize(
    "payload",
    [
        gzip.compress(VMLINUX),
        zstd.compress(VMLINUX) + b"size",
        lzma.compress(VMLINUX) + b"size",
        bz2.compress(VMLINUX) + b"size",
    ],
    ids=["gzip", "zstd", "xz", "bzip2"],
)
def test_decompress(tmp_path, payload):
    path, out = tmp_path / "kernel", io.BytesIO()
    path.write_bytes(bzimage(payload=payload) + b"signature")
    kernel.decompress(path, out)
    assert out.getvalue() == VMLINUX


def test_decompress_a_plain_gzip_file(tmp_path):
    path, out = tmp_path / "kernel", io.BytesIO()
    path.write_bytes(gzip.compress(VMLINUX))
    kernel.decompress(path, out)
    assert out.getvalue() == VMLINUX


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"vmlinux", "kernel is not a compressed kernel"),
        (bzimage(payload=b"LZ4?" * 10), "compressed in a way that is not known"),
        (bzimage(payload=b"", protocol=0x207), "not a compressed kernel"),
    ],
)
def test_what_cannot_be_decompressed(tmp_path, data, message):
    path = tmp_path / "kernel"
    path.write_bytes(data)
    with pytest.raises(KernelError, match=message):
        kernel.decompress(path, io.BytesIO())


def test_a_damaged_payload(tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(bzimage(payload=gzip.compress(VMLINUX)[:40]))
    with pytest.raises(DamagedStreamError):
        kernel.decompress(path, io.BytesIO())

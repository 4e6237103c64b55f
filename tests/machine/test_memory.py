import gzip
import logging
import random
from pathlib import Path

import pytest

from sampan.machine import memory
from sampan.machine.initrd import Unpacked
from sampan.machine.model import MachineSpec

MIB = 1 << 20


@pytest.mark.parametrize(
    ("file_bytes", "pages", "fails_mib", "boots_mib"),
    [  # boots seen with Debian's 6.12 cloud kernel; 106.9 MB of files, half of them random
        (53_541_371, 26_096, 307, 309),  # zstd
        (53_799_156, 26_096, 305, 309),  # gzip
        (106_883_584, 26_096, 357, 360),  # plain
        (2_025_472, 496, 72, 80),
    ],
)
def test_prediction_against_boots(file_bytes, pages, fails_mib, boots_mib):
    needed = memory.needed_mib(file_bytes, Unpacked(pages, 10))
    assert fails_mib < needed <= boots_mib * 1.01


def test_many_small_inodes_count_like_pages():
    assert memory.needed_mib(0, Unpacked(0, 50_000)) == memory.needed_mib(0, Unpacked(50_000, 0))


@pytest.fixture
def spec(tmp_path):
    """Makes the spec of a machine whose initrd has one file of 24 MiB that does not compress."""
    header = "070701" + "".join(f"{field:08X}" for field in [0] * 6 + [24 * MIB] + [0] * 4 + [4, 0])
    path = tmp_path / "web-initrd.img"
    data = header.encode() + b"big\0" + b"\0" * 2
    path.write_bytes(gzip.compress(data + random.Random(0).randbytes(24 * MIB), 0))
    return lambda mem_mib: MachineSpec(kernel=Path("k"), initrd=path, mem_mib=mem_mib)


def test_too_little_is_refused_with_the_number_that_would_do(spec):
    with pytest.raises(memory.MemoryTooSmallError) as caught:
        memory.check(spec(112))
    assert caught.value.needed_mib == 128
    assert caught.value.message.startswith("112 MiB of memory is too little: the kernel could not")
    assert caught.value.message.endswith("web-initrd.img")
    assert caught.value.hint == "128 MiB would do (--mem 128)"


def test_enough_is_enough(spec):
    memory.check(spec(128))
    memory.check(spec(4096))


def test_no_initrd():
    memory.check(MachineSpec(kernel=Path("k"), mem_mib=32))


def test_what_is_not_understood_is_let_pass(spec, caplog):
    machine = spec(64)
    machine.initrd.write_bytes(b"\x04\x22\x4d\x18" + bytes(9 * MIB))
    with caplog.at_level(logging.WARNING, logger="sampan"):
        memory.check(machine)
    assert "cannot tell whether" in caplog.text

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base import proc
from sampan.guest.tool import table

MIB = 2048  # sectors


def written(layout, sectors, path):
    with path.open("wb") as stream:
        stream.truncate(sectors * 512)
        for offset, content in layout.pieces:
            stream.seek(offset)
            stream.write(content)
    return path


@pytest.mark.skipif(not proc.has_tool("sfdisk"), reason="no sfdisk")
@pytest.mark.parametrize("sectors", [2 * MIB, 64 * MIB, 64 * MIB + 7, 3 << 32])
@pytest.mark.parametrize("kind", ["dos", "gpt"])
def test_sfdisk_reads_it(kind, sectors, tmp_path):
    if kind == "dos":
        layout = table.dos(sectors, b"\1\2\3\4")
    else:
        layout = table.gpt(3 * MIB if sectors == 2 * MIB else sectors, b"d" * 16, b"p" * 16)
        sectors = max(sectors, 3 * MIB)
    path = written(layout, sectors, tmp_path / "disk")
    done = subprocess.run(
        [proc.find_tool("sfdisk"), "--json", path], capture_output=True, check=True
    )
    found = json.loads(done.stdout)["partitiontable"]
    [partition] = found["partitions"]
    assert (found["label"], partition["start"], partition["size"]) == (kind, 2048, layout.sectors)
    check = subprocess.run(
        [proc.find_tool("sfdisk"), "--verify", path], capture_output=True, text=True, check=True
    )
    assert "No errors detected" in check.stdout + check.stderr
    if kind == "dos":
        assert (found["id"], partition["type"]) == ("0x04030201", "83")
    else:
        assert partition["type"] == "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


@given(st.integers(3 * MIB, 1 << 40), st.sampled_from(["dos", "gpt"]))
def test_partitions_are_aligned_and_stay_inside(sectors, kind):
    if kind == "dos":
        layout = table.dos(sectors, bytes(4))
    else:
        layout = table.gpt(sectors, bytes(16), bytes(16))
    assert layout.start % MIB == layout.sectors % MIB == 0
    assert layout.sectors > 0
    spare = 33 if kind == "gpt" else 0
    assert layout.start + layout.sectors <= sectors - spare
    assert layout.pieces[-1][0] == 0, "the first sector makes it count"
    assert all(offset + len(content) <= sectors * 512 for offset, content in layout.pieces)


def test_what_is_too_small():
    assert table.fits(2 * MIB)
    assert not table.fits(2 * MIB - 1)

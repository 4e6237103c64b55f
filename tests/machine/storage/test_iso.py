import hashlib
import string
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base import proc
from sampan.errors import UsageError
from sampan.machine.storage import iso

NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=99).map(
    lambda text: f"f{text}"
)


def read(disc):
    """What is on a disc, read anew from the standard: its label, and {name: content}."""
    volume = disc[16 * 2048 :][:2048]
    assert volume[:7] == b"\1CD001\1"
    assert int.from_bytes(volume[80:84], "little") * 2048 == len(disc)
    root = volume[156:190]
    start, size = (int.from_bytes(root[at : at + 4], "little") for at in (2, 10))
    folder, files, at = disc[start * 2048 : start * 2048 + size], {}, 0
    while at < len(folder):
        length = folder[at]
        if length == 0:
            at += 2048 - at % 2048
            continue
        record = folder[at : at + length]
        at += length
        place, bytes_ = (int.from_bytes(record[here : here + 4], "little") for here in (2, 10))
        if record[33:34] in (b"\0", b"\1"):
            continue
        use = record[33 + record[32] + (record[32] % 2 == 0) :]
        name = ""
        while len(use) > 3:
            if use[:2] == b"NM":
                name = use[5 : use[2]].decode()
            use = use[use[2] :]
        files[name] = disc[place * 2048 : place * 2048 + bytes_]
    return volume[40:72].decode().rstrip(), files


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.binary(max_size=5000), max_size=40))
def test_all_that_goes_in_comes_out(files):
    assert read(iso.build("label", files)) == ("label", files)


def test_the_same_content_gives_the_same_bytes():
    one = iso.build("cidata", {"user-data": b"x", "meta-data": b""})
    two = iso.build("cidata", {"meta-data": b"", "user-data": b"x"})
    assert one == two
    assert hashlib.sha256(one).hexdigest() == (
        "6e24113d44d303a317e38b894b126003c236560e30973139f859f8591583dbf3"
    ), "discs change with this version: say so in CHANGELOG"


def test_names_that_look_alike_stay_apart():
    files = {"a-b": b"1", "a_b": b"2", "A.B": b"3"}
    disc = iso.build("x", files)
    assert read(disc)[1] == files
    for short in (b"A_B.;1", b"A_B0001.;1", b"A_B0002.;1"):
        assert short in disc


@pytest.mark.parametrize(
    ("label", "files"),
    [
        ("", {}),
        ("x" * 33, {}),
        ("ä", {}),
        ("x", {"../up": b""}),
        ("x", {"a/b": b""}),
        ("x", {".": b""}),
        ("x", {"n" * 101: b""}),
        ("x", {"big": bytes(iso.MAX_CONTENT_BYTES + 1)}),
        ("x", {f"f{i}": b"" for i in range(1001)}),
    ],
)
def test_what_does_not_fit_is_refused(label, files):
    with pytest.raises(UsageError):
        iso.build(label, files)


@pytest.mark.parametrize("tool", ["bsdtar", "xorriso"])
def test_other_programs_read_it(tool, tmp_path):
    if not proc.has_tool(tool):
        pytest.skip(f"no {tool}")
    files = {f"file-number.{number}": b"%d" % number * number for number in range(100)}
    path, out = tmp_path / "a.iso", tmp_path / "out"
    path.write_bytes(iso.build("cidata", files))
    out.mkdir()
    if tool == "bsdtar":
        subprocess.run([tool, "-xf", path, "-C", out], check=True)
    else:
        command = [tool, "-osirrox", "on", "-indev", path, "-extract", "/", out]
        done = subprocess.run(command, check=True, capture_output=True)
        assert b"'cidata'" in done.stderr
    assert {each.name: each.read_bytes() for each in out.iterdir()} == files
    for each in out.iterdir():
        assert each.stat().st_mtime == 1492533000

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.base.entry import Kind
from sampan.errors import SampanError
from sampan.package.deb import Deb, DebError, parse_control


def test_reads_control_date_and_files(make_deb):
    files = {
        "etc": None,
        "etc/motd": "hi\n",
        "etc/link": "-> motd",
        "etc/hard": "= etc/motd",
    }
    deb = Deb(make_deb("base", files, Maintainer="A <a@b>", date_s=12345))
    assert deb.date_s == 12345
    assert deb.control() == {
        "Package": "base", "Version": "1.0-1", "Architecture": "amd64", "Maintainer": "A <a@b>",
    }  # fmt: skip
    found = [(e.name, e.kind, e.target, b"".join(c)) for e, c in deb.files()]
    assert found == [
        ("etc", Kind.DIRECTORY, "", b""),
        ("etc/motd", Kind.FILE, "", b"hi\n"),
        ("etc/link", Kind.SYMLINK, "motd", b""),
        ("etc/hard", Kind.HARDLINK, "etc/motd", b""),
    ]


def test_continued_fields():
    text = "Package: a\nDescription: short\n more\n .\n junk\n\nno colon here\nB: c\n"
    assert parse_control(text) == {
        "Package": "a",
        "Description": "short\nmore\n.\njunk",
        "B": "c",
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no ar archive"),
        (b"PK\x03\x04", "no ar archive"),
        (b"!<arch>\n", "no debian-binary"),
        (b"!<arch>\nshort", "broken ar archive at byte 8"),
        (b"!<arch>\n" + b"debian-binary   0           0     0     100644  99        `\n", "cut"),
        (b"!<arch>\n" + b"debian-binary   0           0     0     100644  -9        `\n", "cut"),
        (b"!<arch>\n" + b"debian-binary   x           0     0     100644  0         `\n", "broken"),
        (
            b"!<arch>\n" + b"debian-binary   0           0     0     100644  0         `\n" * 99,
            "64",
        ),
    ],
)
def test_what_is_no_package_is_refused(tmp_path, data, message):
    path = tmp_path / "x.deb"
    path.write_bytes(data)
    with pytest.raises(DebError, match=message):
        Deb(path)


def test_members_that_are_missing(tmp_path, make_ar):
    path = tmp_path / "x.deb"
    path.write_bytes(make_ar([("debian-binary", b"2.0\n", 0)]))
    with pytest.raises(DebError, match=r"has no control\.tar"):
        Deb(path).control()
    with pytest.raises(DebError, match=r"has no data\.tar"):
        list(Deb(path).files())


def test_damage_inside_is_told(make_deb):
    path = make_deb("base", {"big": "x" * 100_000})
    data = bytearray(path.read_bytes())
    data[-60:-50] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(SampanError, match=r"base_1\.0-1_amd64\.deb"):
        [b"".join(content) for _, content in Deb(path).files()]


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=20)), max_size=5))
def test_damaged_bytes_never_crash(make_deb, changes):
    path = make_deb("base", {"etc": None, "etc/motd": "hi\n", "l": "-> etc"})
    data = bytearray(path.read_bytes())
    for place, change in changes:
        start = place % len(data)
        data[start : start + len(change)] = change
    path.write_bytes(data)
    with contextlib.suppress(SampanError):
        deb = Deb(path)
        deb.control()
        [b"".join(content) for _, content in deb.files()]

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.spec.text import (
    RLIMITS,
    UNLIMITED,
    Bind,
    Mode,
    Rlimit,
    Tmpfs,
    container_name,
    image_name,
    namespace,
    tree_path,
    volume_name,
)

paths = st.text(st.characters(codec="utf-8", exclude_characters=":,\0"), max_size=20).map(
    "/{}".format
)
options = st.lists(st.from_regex(r"[a-z0-9=]{1,8}", fullmatch=True), max_size=3).map(tuple)
limits = st.integers(0, UNLIMITED)


@given(paths, paths, options)
def test_bind_reads_what_it_writes(source, destination, chosen):
    bind = Bind(source, destination, chosen)
    assert Bind.parse(str(bind)) == bind


@given(paths, options)
def test_tmpfs_reads_what_it_writes(destination, chosen):
    tmpfs = Tmpfs(destination, chosen)
    assert Tmpfs.parse(str(tmpfs)) == tmpfs


@given(st.sampled_from(RLIMITS), limits, limits)
def test_rlimit_reads_what_it_writes(name, one, other):
    rlimit = Rlimit(f"RLIMIT_{name}", min(one, other), max(one, other))
    assert Rlimit.parse(str(rlimit)) == rlimit


def test_bind_options_tell_whether_it_can_be_written():
    assert Bind.parse("/a:/b") == Bind("/a", "/b", ())
    assert Bind.parse("data:/b:rw,rshared").writable
    assert not Bind.parse("/a:/b:rbind,ro").writable


@pytest.mark.parametrize(
    "text", ["", "/a", "/a:", ":/b", "/a:/b:", "/a:/b:ro:x", "/a:b", "/a:/b:ro,,x", "/a:/b\0"]
)
def test_bad_binds(text):
    with pytest.raises(ValueError, match=r"source:destination|absolute|comma"):
        Bind.parse(text)


@pytest.mark.parametrize("text", ["", "tmp", "/tmp:", "/tmp:a:b", "/tmp:,"])
def test_bad_tmpfs(text):
    with pytest.raises(ValueError, match=r"destination|comma"):
        Tmpfs.parse(text)


def test_rlimit_names_and_limits():
    assert Rlimit.parse("nofile,10,20") == Rlimit("RLIMIT_NOFILE", 10, 20)
    assert Rlimit.parse("RLIMIT_core, 0, unlimited") == Rlimit("RLIMIT_CORE", 0, UNLIMITED)
    assert len(RLIMITS) == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nofile,10", "is not name,soft,hard"),
        ("nofile,1,2,3", "is not name,soft,hard"),
        ("nofiles,1,2", "unknown resource limit 'nofiles'"),
        ("nofile,-1,2", "is not a limit"),
        ("nofile,1,99999999999999999999", "is not a limit"),
        ("nofile,2,1", "soft limit 2 is above the hard limit 1"),
    ],
)
def test_bad_rlimits(text, message):
    with pytest.raises(ValueError, match=message):
        Rlimit.parse(text)


def test_mode_keeps_number_and_text():
    assert Mode.parse("0644") == Mode(0o644, "0644")
    assert Mode.parse("7777").bits == 0o7777
    assert str(Mode.parse("755")) == "755"


@pytest.mark.parametrize("text", ["", "0999", "rw", "-1", "0o644", "17777", "000000", "644 "])
def test_bad_modes(text):
    with pytest.raises(ValueError, match="is not an octal mode"):
        Mode.parse(text)


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (container_name, ["a", "_a", "node-exporter_1.2+x", "x" * 76], ["", ".", "..", "../x", "a/b", "-a", "a b", "x" * 77]),
        (volume_name, ["a", "a-b_1", "-"], ["", "A", "a.b", "a/b", "é"]),
        (image_name, ["nginx", "a/b:1@sha256:00"], ["", "a b", "a\n", "\x1b[0m"]),
        (tree_path, ["etc/motd", "/etc/a..b", "./a/"], ["", "/", ".", "../a", "a/../../b", "a\0"]),
        (namespace, ["", "host", "root", "new", "none", "/run/netns/a"], ["hosts", "run/netns", "/\0"]),
    ],
)  # fmt: skip
def test_names(parse, good, bad):
    assert [parse(text) for text in good] == good
    for text in bad:
        with pytest.raises(ValueError, match=r"."):
            parse(text)

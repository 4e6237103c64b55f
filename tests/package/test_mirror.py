import pytest

from sampan.package import mirror
from sampan.package.mirror import Archive, Mirror, MirrorError

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# a comment
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
URIs: http://mirror.test/debian-security
 http://other.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEY}

Enabled: no
Types: deb
URIs: http://old.test/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb http://off.test/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://third.test/repo bookworm main  # theirs
deb-src http://mirror.test/debian bookworm main
deb\thttp://mirror.test/debian/ trixie main non-free
deb http://sec.test/x bookworm/updates main
deb broken
"""


def test_deb822():
    found = list(mirror.parse_deb822(DEB822))
    assert found[0] == Archive(
        "http://mirror.test/debian",
        ("bookworm", "bookworm-updates"),
        ("main", "contrib"),
        KEY,
    )
    assert [item.uri for item in found[1:]] == [
        "http://mirror.test/debian-security",
        "http://other.test/debian-security",
    ]


def test_one_line():
    assert list(mirror.parse_one_line(ONE_LINE)) == [
        Archive("http://third.test/repo", ("bookworm",), ("main",), "/k.gpg"),
        Archive("http://mirror.test/debian/", ("trixie",), ("main", "non-free")),
        Archive("http://sec.test/x", ("bookworm/updates",), ("main",)),
    ]


def test_the_hosts_files_are_read(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://a.test/debian sid main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.list").write_text("deb http://b.test/debian sid main\n")
    (parts / "c.sources").write_text("Types: deb\nURIs: http://c.test/\nSuites: sid\n")
    (parts / "d.save").write_text("deb http://d.test/debian sid main\n")
    uris = [archive.uri for archive in mirror.host_archives(tmp_path)]
    assert uris == ["http://a.test/debian", "http://b.test/debian", "http://c.test/"]
    assert mirror.host_archives(tmp_path / "none") == []


def test_debians_own_is_chosen():
    archives = [*mirror.parse_one_line(ONE_LINE), *mirror.parse_deb822(DEB822)]
    assert mirror.choose(archives) == Mirror(
        "http://mirror.test/debian", "http://mirror.test/debian-security"
    )


def test_a_mirror_of_any_name_will_do():
    archives = mirror.parse_one_line("deb http://inner.test/apt bookworm main\n")
    assert mirror.choose(archives) == Mirror(
        "http://inner.test/apt", "http://inner.test/apt-security"
    )


def test_what_was_asked_for_wins():
    archives = list(mirror.parse_deb822(DEB822))
    assert mirror.choose(archives, mirror="http://x.test/debian/") == Mirror(
        "http://x.test/debian", "http://x.test/debian-security"
    )
    assert mirror.choose(archives, security="http://s.test/").security == "http://s.test"


@pytest.mark.parametrize(
    "line",
    [
        "deb http://x.test/ubuntu noble main",
        "deb http://x.test/linux/debian bookworm stable",
        "deb http://x.test/apt bookworm-pgdg main",
        "deb cdrom:[Debian]/ bookworm main",
        "",
    ],
)
def test_others_are_not(line):
    with pytest.raises(MirrorError, match="name no Debian archive") as caught:
        mirror.choose(mirror.parse_one_line(line))
    assert "--debian-mirror" in (caught.value.hint or "")


def test_source_list(tmp_path):
    keyring = tmp_path / "key.gpg"
    with pytest.raises(MirrorError, match="is missing"):
        mirror.source_list(Mirror("http://m", "http://s"), "trixie", keyring=keyring)
    keyring.touch()
    text = mirror.source_list(Mirror("http://m", "http://s"), "trixie", keyring=keyring)
    assert "URIs: http://m\nSuites: trixie trixie-updates\nComponents: main\n" in text
    assert "URIs: http://s\nSuites: trixie-security\n" in text
    assert text.count(f"Signed-By: {keyring}\n") == 2
    rolling = mirror.source_list(Mirror("http://m", "http://s"), "sid", keyring=keyring)
    assert "security" not in rolling
    assert "Suites: sid\n" in rolling

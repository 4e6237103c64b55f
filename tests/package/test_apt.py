import hashlib
import os
from pathlib import Path

import pytest

from sampan.base import fs
from sampan.errors import ToolMissingError
from sampan.package import apt, space
from sampan.package.apt import AptError, AptRoot, Package
from sampan.package.space import NoSpaceError
from sampan.package.watchdog import StuckError, Watchdog

DEB = b"a package"
SUM = hashlib.sha256(DEB).hexdigest()
FILE = "nginx_1%3a1.2+b-1_amd64.deb"
URI_LINE = f"'http://m.test/pool/nginx.deb' {FILE} {len(DEB)} SHA256:{SUM}"
INSTALL = f"""\
'http://m.test/pool/nginx.deb' {FILE} {len(DEB)} MD5Sum:0
'http://m.test/pool/b.deb' base_2_all.deb 5
W: something else
"""
APT = """#!/bin/sh
echo "$@" >> {here}/log
case " $* " in
*" update "*)
    [ -e {here}/hang ] && {{
        cd "$(dirname "$APT_CONFIG")"; echo half > state/lists/partial/half
        sleep 600 & echo $! > {here}/child; wait
    }}
    [ -e {here}/full ] && {{ echo "E: Write error (28: No space left on device)" >&2; exit 100; }}
    [ -e {here}/unreachable ] && {{ echo "E: Could not resolve 'm.test'" >&2; exit 100; }}
    exit 0 ;;
*" install "*)
    [ -e {here}/unknown ] && {{ echo "E: Unable to locate package ngninx" >&2; exit 100; }}
    [ -e {here}/broken ] && {{ echo "E: Unable to correct problems" >&2; exit 100; }}
    cat {here}/install ;;
*" --print-uris "*) cat {here}/uris ;;
*) cp {here}/{file} . ;;
esac
"""


class Clock:
    now_s = 1000.0

    def wall_s(self):
        return self.now_s

    def monotonic_s(self):
        return self.now_s


class Notes(list[str]):
    def start(self, label, total):
        return self

    def advance(self, amount):
        pass

    def finish(self, task, *, failed):
        pass

    def note(self, message):
        self.append(message)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder with an `apt-get` that answers from files."""
    here = tmp_path / "fake"
    here.mkdir()
    scripts = {
        "apt-get": APT.format(here=here, file=FILE),
        "apt-config": "#!/bin/sh\necho 'Acquire::http::Proxy \"http://p:1\";'\n"
        "echo 'Acquire::IndexTargets \"x\";'\necho 'APT::Update::Post-Invoke \"x\";'\n",
        "apt-cache": "#!/bin/sh\necho nginx\necho ngetty\n",
    }
    for name, text in scripts.items():
        (here / name).write_text(text)
        (here / name).chmod(0o755)
    (here / "install").write_text(INSTALL)
    (here / "uris").write_text(URI_LINE + "\n")
    (here / FILE).write_bytes(DEB)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    return here


@pytest.fixture
def root(tmp_path):
    return AptRoot(tmp_path / "apt", suite="trixie", architecture="arm64", sources="Types: deb\n")


def log(fake):
    return (fake / "log").read_text().splitlines()


def test_lists_are_fetched_once_a_day(fake, root):
    clock = Clock()
    root.refresh(clock=clock)
    clock.now_s += 3600
    root.refresh(clock=clock)
    assert len(log(fake)) == 1
    clock.now_s += 24 * 3600
    root.refresh(clock=clock)
    root.refresh(clock=clock, max_age_s=0)
    assert len(log(fake)) == 3


def test_the_root_is_private_and_keeps_the_hosts_proxy(fake, root):
    root.refresh(clock=Clock())
    config = (root.root / "apt.conf").read_text()
    assert 'APT::Architecture "arm64";' in config
    assert f'Dir::State::status "{root.root}/state/status";' in config
    assert 'Acquire::AllowInsecureRepositories "false";' in config
    assert 'Acquire::http::Proxy "http://p:1";' in config
    assert "Post-Invoke" not in config
    assert "IndexTargets" not in config
    assert (root.root / "etc/sources/debian.sources").read_text() == "Types: deb\n"


def test_old_lists_serve_when_the_archive_is_gone(fake, root):
    clock, notes = Clock(), Notes()
    root.refresh(clock=clock)
    (fake / "unreachable").touch()
    clock.now_s += 48 * 3600
    root.refresh(clock=clock, progress=notes)
    [note] = notes
    assert note == (
        "the Debian archive is not usable: Could not resolve 'm.test'; "
        "the lists of 48 h ago are used"
    )


def test_no_lists_at_all(fake, root):
    (fake / "unreachable").touch()
    with pytest.raises(AptError, match="not usable: Could not resolve") as caught:
        root.refresh(clock=Clock())
    assert "debian.sources" in (caught.value.hint or "")


def test_offline(fake, root):
    with pytest.raises(AptError, match="no package lists of trixie for arm64 are cached"):
        root.refresh(clock=Clock(), offline=True)
    clock = Clock()
    root.refresh(clock=clock)
    clock.now_s += 1e6
    root.refresh(clock=clock, offline=True)
    assert len(log(fake)) == 1


def test_solve(fake, root):
    root.refresh(clock=Clock())
    assert root.solve(["nginx"]) == (
        Package("base", "2", "all"),
        Package("nginx", "1:1.2+b-1", "amd64"),
    )
    assert root.solve(["nginx"], depends=False) == (Package("nginx", "1:1.2+b-1", "amd64"),)
    assert root.solve([]) == ()
    assert log(fake)[1:] == [
        "install --print-uris -qq nginx",
        "download --print-uris -qq nginx",
    ]


def test_unknown_packages_are_named(fake, root):
    root.refresh(clock=Clock())
    (fake / "unknown").touch()
    with pytest.raises(AptError, match="trixie for arm64 has no package ngninx") as caught:
        root.solve(["base", "ngninx"])
    assert caught.value.hint == "did you mean nginx?"


def test_packages_that_do_not_go_together(fake, root):
    root.refresh(clock=Clock())
    (fake / "broken").touch()
    with pytest.raises(AptError, match="a, b cannot be installed together: Unable to correct"):
        root.solve(["a", "b"])


def test_fetch_once_and_checked(fake, root):
    root.refresh(clock=Clock())
    package = Package("nginx", "1:1.2+b-1", "amd64")
    [download] = root.fetch([package])
    assert (root.archives / download.file).read_bytes() == DEB
    assert download.sha256 == SUM
    root.fetch([package])
    assert log(fake)[1:] == [
        "download --print-uris -qq nginx=1:1.2+b-1",
        "download -qq nginx=1:1.2+b-1",
        "download --print-uris -qq nginx=1:1.2+b-1",
    ]
    assert root.fetch([]) == ()


def test_a_damaged_file_is_fetched_again(fake, root):
    root.refresh(clock=Clock())
    root.archives.mkdir(parents=True)
    (root.archives / FILE).write_bytes(b"b package")
    root.fetch([Package("nginx", "1:1.2+b-1", "amd64")])
    assert (root.archives / FILE).read_bytes() == DEB


def test_what_a_killed_process_left_is_removed(fake, root):
    root.refresh(clock=Clock())
    left = root.archives / f"{fs.TEMPORARY_PREFIX}x"
    left.mkdir(parents=True)
    (left / "half.deb").write_bytes(b"half")
    root.fetch([Package("nginx", "1:1.2+b-1", "amd64")])
    assert not left.exists()


def test_what_is_not_in_the_list_is_refused(fake, root):
    root.refresh(clock=Clock())
    (fake / FILE).write_bytes(b"evil")
    with pytest.raises(AptError, match="is not what the package list says"):
        root.fetch([Package("nginx", "1:1.2+b-1", "amd64")])
    (fake / "uris").write_text(f"'http://m.test/n.deb' {FILE} 3 MD5Sum:00\n")
    with pytest.raises(AptError, match="no SHA-256"):
        root.fetch([Package("nginx", "1:1.2+b-1", "amd64")])


def test_without_apt(root, monkeypatch):
    monkeypatch.setattr("sampan.base.proc.has_tool", lambda name: False)
    with pytest.raises(ToolMissingError, match="apt-get is not installed"):
        root.refresh(clock=Clock())


def free(monkeypatch, size):
    monkeypatch.setattr(space, "free", lambda folder: size)


def test_room_for_the_lists_is_asked_for_first(fake, root, monkeypatch):
    free(monkeypatch, 5 << 20)
    with pytest.raises(NoSpaceError) as caught:
        root.refresh(clock=Clock())
    assert str(caught.value) == (
        f"no space left for {root.root}: package lists of trixie need 160 MiB, 5.00 MiB are free"
    )
    assert "--cache FOLDER" in (caught.value.hint or "")
    assert not (fake / "log").exists()


def test_old_lists_serve_when_there_is_no_room_for_new_ones(fake, root, monkeypatch):
    clock, notes = Clock(), Notes()
    root.refresh(clock=clock)
    free(monkeypatch, 5 << 20)
    clock.now_s += 48 * 3600
    root.refresh(clock=clock, progress=notes)
    assert "5.00 MiB are free; the lists of 48 h ago are used" in notes[0]


def test_room_for_the_packages_is_asked_for_first(fake, root, monkeypatch):
    root.refresh(clock=Clock())
    free(monkeypatch, len(DEB) - 1)
    with pytest.raises(NoSpaceError, match="1 Debian packages need 9 B, 8 B are free"):
        root.fetch([Package("nginx", "1:1.2+b-1", "amd64")])
    assert sorted(path.name for path in root.archives.iterdir()) == ["lock"]


def test_a_full_disk_that_apt_reports(fake, root):
    (fake / "full").touch()
    with pytest.raises(NoSpaceError, match=f"no space left for {root.root}: the disk is full"):
        root.refresh(clock=Clock())


def test_an_apt_that_hangs_is_killed_with_all_it_started(fake, root, monkeypatch):
    (fake / "hang").touch()
    monkeypatch.setattr(apt, "Watchdog", hurried(fake))
    with pytest.raises(StuckError, match="apt wrote nothing for"):
        root.refresh(clock=Clock())
    assert not list((root.root / "state/lists/partial").iterdir())
    assert not (root.root / "refreshed").exists()
    child = int((fake / "child").read_text())
    while is_running(child):  # pytest-timeout bounds it
        os.sched_yield()


def hurried(fake):
    """A watchdog without patience, once the fake has begun to hang."""

    def watch(folders, task):
        dog = Watchdog(folders, task, patience_s=0)

        def look():
            if (fake / "child").exists() and (fake / "child").read_text().endswith("\n"):
                dog()

        return look

    return watch


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_another_mirror_is_another_root(tmp_path, root):
    other = AptRoot(tmp_path / "apt", suite="trixie", architecture="arm64", sources="Types: x\n")
    assert other.root != root.root
    assert other.archives == root.archives

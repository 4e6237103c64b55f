"""What the host does to a share, heard in the guest by inotify."""

import os

import pytest

from sampan.machine import Network, Share
from sampan.machine.sharing import change

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
BOOT_S, WAIT_S = 300, 300
FEW = 5


class Guest:
    """A guest that watches a shared folder, and the folder."""

    def __init__(self, machine, folder, outside):
        self.folder = folder
        self.outside = outside
        self._machine = machine

    def run(self, script):
        done = self._machine.exec(["sh", "-c", script], check=True, timeout_s=WAIT_S)
        return done.stdout.decode()

    def heard(self, line):
        """All it has heard, once it has heard `line`."""
        script = f"until grep -qx '{line}' /run/heard; do sleep 0.1; done; cat /run/heard"
        return self.run(script).splitlines()

    def all(self):
        """All it has heard of what has happened until now."""
        mark = f"mark{self.run('wc -l < /run/heard').strip()}"
        (self.folder / mark).mkdir()
        return self.heard(f"CREATE FOLDER /share/{mark}")

    def names(self):
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if not path.name.startswith("mark")
        }


@pytest.fixture(scope="module")
def guest(boot, tmp_path_factory):
    folder, outside = tmp_path_factory.mktemp("share"), tmp_path_factory.mktemp("outside")
    for name in ("changed", "removed", "renamed", "chmodded", "saved", "leaving"):
        (folder / name).write_text(name)
    (folder / "old" / "deep").mkdir(parents=True)
    (folder / "old" / "file").touch()
    share = Share(source=folder, tag="share", target="/share", events=True)
    fields = {"shares": (share,), "agent": True, "network": Network.NONE}
    with boot("share-events", mem_mib=192, **fields) as system:
        found = Guest(system.machine, folder, outside)
        system.machine.agent.ready(deadline_s=BOOT_S)
        found.heard("WATCHING 2")
        yield found


def test_a_new_file(guest):
    (guest.folder / "new").write_text("new")
    lines = guest.heard("CLOSE_WRITE /share/new")
    assert "CREATE /share/new" in lines
    assert guest.run("cat /share/new") == "new"


def test_a_change_is_seen_when_it_is_heard(guest):
    assert guest.run("cat /share/changed") == "changed"
    (guest.folder / "changed").write_text("a change that is longer")
    before = (guest.folder / "changed").stat()
    lines = guest.heard("CLOSE_WRITE /share/changed")
    assert guest.run("cat /share/changed") == "a change that is longer"
    assert "MODIFY /share/changed" in lines
    after = (guest.folder / "changed").stat()
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_a_change_of_mode(guest):
    (guest.folder / "chmodded").chmod(0o600)
    guest.heard("ATTRIB /share/chmodded")
    assert guest.run("stat -c %a /share/chmodded") == "600\n"


def test_a_file_that_is_removed(guest):
    (guest.folder / "removed").unlink()
    guest.heard("DELETE /share/removed")
    assert guest.run("ls /share/removed 2>/dev/null || echo gone") == "gone\n"


def test_another_name(guest):
    (guest.folder / "renamed").rename(guest.folder / "name")
    lines = guest.heard("MOVED_TO /share/name")
    cookies = {line.split()[2]: line.split()[1] for line in lines if line.startswith("COOKIE")}
    assert cookies["/share/renamed"] == cookies["/share/name"]
    assert "MOVED_FROM /share/renamed" in lines
    assert (
        guest.run("cat /share/name; ls /share/renamed 2>/dev/null || echo gone") == "renamedgone\n"
    )


def test_as_editors_save(guest):
    assert guest.run("cat /share/saved") == "saved"
    (guest.folder / "saved~").write_text("another file")
    (guest.folder / "saved~").rename(guest.folder / "saved")
    guest.heard("MODIFY /share/saved")
    assert guest.run("cat /share/saved") == "another file"


def test_folders_and_links(guest):
    (guest.folder / "folder").mkdir()
    (guest.folder / "link").symlink_to("new")
    lines = guest.heard("CREATE /share/link")
    assert "CREATE FOLDER /share/folder" in lines
    assert guest.run("readlink /share/link") == "new\n"
    (guest.folder / "folder").rename(guest.folder / "other")
    lines = guest.heard("MOVED_TO FOLDER /share/other")
    (guest.folder / "other").rmdir()
    guest.heard("DELETE FOLDER /share/other")


def test_who_lists_a_folder_meanwhile_hears_all_the_same(guest):
    """What is listed is known to the guest's kernel, which could not make it again."""
    guest.run(
        "(while :; do ls -l /share > /dev/null; done) > /dev/null 2>&1 & echo $! > /run/lister"
    )
    for number in range(5):
        (guest.folder / f"listed{number}").mkdir()
        guest.heard(f"CREATE FOLDER /share/listed{number}")
        (guest.folder / f"listed{number}").rmdir()
        guest.heard(f"DELETE FOLDER /share/listed{number}")
    guest.run("kill $(cat /run/lister)")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_of_the_host(guest):
    guest.run("chown 999:998 /share/chmodded")
    status = (guest.folder / "chmodded").stat()
    assert (status.st_uid, status.st_gid) == (999, 998)
    os.chown(guest.folder / "chmodded", 5, 6)
    guest.all()
    assert guest.run("stat -c %u:%g /share/chmodded") == "5:6\n"


def test_below_a_folder(guest):
    (guest.folder / "old" / "file").rename(guest.folder / "old" / "file2")
    guest.heard("MOVED_TO /share/old/file2")


def test_in_and_out(guest):
    (guest.folder / "leaving").rename(guest.outside / "file")
    guest.heard("DELETE /share/leaving")
    (guest.outside / "file").rename(guest.folder / "coming")
    guest.heard("CREATE /share/coming")


def test_what_the_guest_does_it_hears_once(guest):
    guest.run(
        "cd /share && echo x > own && chmod 600 own && mv own own2 && mkdir own3 && echo y >> own2"
        " && ln -s x own4"
    )
    lines = guest.all()
    assert [line for line in lines if " /share/own" in line and "COOKIE" not in line] == [
        "CREATE /share/own", "MODIFY /share/own", "CLOSE_WRITE /share/own", "ATTRIB /share/own",
        "MOVED_FROM /share/own", "MOVED_TO /share/own2", "CREATE FOLDER /share/own3",
        "MODIFY /share/own2", "CLOSE_WRITE /share/own2", "CREATE /share/own4",
    ]  # fmt: skip
    guest.run("cd /share && rm -r own2 own3 own4")
    lines = guest.all()
    for name in ("/share/own2", "FOLDER /share/own3", "/share/own4"):
        assert lines.count(f"DELETE {name}") == 1
    (guest.folder / "own").write_text("of the host, this time")
    assert guest.all().count("CREATE /share/own") == 2
    (guest.folder / "own").unlink()
    guest.heard("DELETE /share/own")


def test_a_folder_that_is_gone(guest):
    for path in ("old/file2", "old/deep", "old"):
        found = guest.folder / path
        found.rmdir() if found.is_dir() else found.unlink()
    lines = guest.heard("DELETE FOLDER /share/old")
    assert guest.heard("DELETE_SELF /share/old/")
    assert not any(line.startswith("CREATE") and "/share/old" in line for line in lines)


def test_too_much(guest, monkeypatch):
    monkeypatch.setattr(change, "MANY", FEW)
    (guest.folder / "many").mkdir()
    guest.heard("CREATE FOLDER /share/many")
    for number in range(FEW * 40):
        (guest.folder / "many" / f"{number}").touch()
    guest.heard("MODIFY FOLDER /share/many")
    for number in range(FEW * 40):
        (guest.folder / f"many{number}").touch()
    guest.heard("MODIFY FOLDER /share/")
    assert len(list((guest.folder / "many").iterdir())) == FEW * 40


def test_telling_has_changed_nothing(guest):
    guest.all()
    names = {name for name in guest.names() if not name.startswith("many")}
    assert names == {"changed", "chmodded", "coming", "link", "name", "new", "saved"}
    assert (guest.folder / "coming").read_text() == "leaving"
    assert (guest.folder / "name").read_text() == "renamed"

"""What the host does to a share, heard in the guest by inotify."""

import pytest

from sampan.machine import Network, Share

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(300)]
WAIT_S = 60


@pytest.fixture(scope="module")
def heard(boot, tmp_path_factory):
    """A shared folder, and what waits until the guest has heard a line of its watcher."""
    folder = tmp_path_factory.mktemp("share")
    for name in ("changed", "removed", "renamed", "chmodded"):
        (folder / name).write_text(name)
    share = Share(source=folder, tag="share", target="/share", events=True)
    fields = {"shares": (share,), "agent": True, "network": Network.NONE}
    with boot("share-events", mem_mib=192, **fields) as system:

        def wait_for(line):
            script = f"until grep -qx '{line}' /run/heard; do sleep 0.1; done; cat /run/heard"
            done = system.machine.exec(["sh", "-c", script], check=True, timeout_s=WAIT_S)
            return done.stdout.decode().splitlines()

        wait_for("WATCHING 1")
        yield folder, wait_for


def test_a_new_file(heard):
    folder, wait_for = heard
    (folder / "new").write_text("new")
    wait_for("MODIFY /share/new")


def test_a_change_keeps_the_time_of_the_file(heard):
    folder, wait_for = heard
    (folder / "changed").write_text("a change")
    before = (folder / "changed").stat().st_mtime_ns
    lines = wait_for("MODIFY /share/changed")
    assert (folder / "changed").stat().st_mtime_ns == before
    assert lines.count("MODIFY /share/changed") == 1


def test_a_change_of_mode(heard):
    folder, wait_for = heard
    (folder / "chmodded").chmod(0o600)
    wait_for("MODIFY /share/chmodded")


def test_a_file_that_is_removed_changes_its_folder(heard):
    folder, wait_for = heard
    (folder / "removed").unlink()
    wait_for("MODIFY /share/")


def test_a_new_name(heard):
    folder, wait_for = heard
    (folder / "renamed").rename(folder / "name")
    wait_for("MODIFY /share/name")


def test_telling_is_not_told_again(heard):
    folder, wait_for = heard
    (folder / "last").mkdir()
    lines = wait_for("MODIFY /share/last")
    assert lines.count("MODIFY /share/new") == 1
    assert lines.count("MODIFY /share/changed") == 1

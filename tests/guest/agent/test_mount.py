import pytest

from sampan.guest.agent import mount
from sampan.guest.agent.document import Mount

BIND, REC, REMOUNT, RO = 0x1000, 0x4000, 0x20, 0x1
NOSUID, NODEV, NOEXEC, RELATIME = 0x2, 0x4, 0x8, 0x200000
PRIVATE, SHARED = 1 << 18, 1 << 20


def plan(options, *, source="src", kind="", destination="/d"):
    calls = mount.calls(Mount(destination, kind, source, tuple(options)), "/root")
    return [(c.source, c.target, c.type, c.flags, c.data) for c in calls]


def test_a_plain_filesystem():
    assert plan([], source="tmpfs", kind="tmpfs") == [("tmpfs", "/d", "tmpfs", 0, "")]


def test_flags_and_data():
    options = ["nosuid", "nodev", "noexec", "relatime", "mode=755", "size=10%"]
    flags = NOSUID | NODEV | NOEXEC | RELATIME
    assert plan(options, kind="tmpfs") == [("src", "/d", "tmpfs", flags, "mode=755,size=10%")]


def test_the_later_of_two_opposites_wins():
    assert plan(["ro", "rw"], kind="ext4")[0][3] == 0
    assert plan(["rw", "ro"], kind="ext4")[0][3] == RO


def test_bind():
    assert plan(["bind"]) == [("src", "/d", "", BIND, "")]


def test_a_read_only_bind_takes_two_calls():
    assert plan(["rbind", "ro"]) == [
        ("src", "/d", "", BIND | REC, ""),
        ("", "/d", "", BIND | REMOUNT | RO, ""),
    ]


def test_propagation_is_a_call_of_its_own():
    assert plan(["rbind", "rshared"]) == [
        ("src", "/d", "", BIND | REC, ""),
        ("", "/d", "", SHARED | REC, ""),
    ]


def test_remount_private_changes_the_propagation_only():
    assert plan(["remount", "private"], source="") == [("", "/d", "", PRIVATE, "")]


def test_remount_with_a_change_is_a_remount():
    assert plan(["remount", "ro"], source="") == [("", "/d", "", REMOUNT | RO, "")]


def test_a_relative_destination_is_inside_the_root():
    assert plan(["bind"], destination="data/x")[0][1] == "/root/data/x"


def test_overlay_needs_its_folders():
    options = ("lowerdir=/l", "upperdir=/t/upper", "workdir=/t/work")
    wanted = mount.folders(Mount("/m", "overlay", "overlay", options), "/root")
    assert wanted == ("/t/upper", "/t/work", "/m")


@pytest.mark.parametrize("name", sorted(mount._FLAGS))
def test_every_flag_is_consumed(name):
    assert all(data == "" for *_, data in plan([name], kind="x"))


def test_a_call_shows_itself():
    assert repr(mount.Call("a", "b", "c", 1, "d")) == "mount('a', 'b', 'c', 0x1, 'd')"

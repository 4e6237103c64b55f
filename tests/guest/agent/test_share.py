import errno

import pytest

from sampan.guest.agent import kernel, mount, share
from sampan.guest.agent.fault import AgentError


@pytest.fixture
def mounted(monkeypatch):
    """The mount calls that were made; a target with `bad` in it cannot be mounted."""
    calls = []

    def record(call):
        if "bad" in call.target:
            raise OSError(errno.ENODEV, "No such device")
        calls.append(call)

    monkeypatch.setattr(kernel, "mount", record)
    return calls


def test_what_the_command_line_says(mounted, tmp_path):
    line = (
        f"quiet sampan.share=b:9p:{tmp_path}/b/c:ro sampan.shares=x "
        f"sampan.share=a:virtiofs:{tmp_path}/b\n"
    )
    assert share.mount_all(line) == 0
    first, second = mounted
    assert (first.source, first.type, first.target) == ("a", "virtiofs", f"{tmp_path}/b")
    assert (first.flags, first.data) == (0x4 | 0x2, "")
    assert (second.source, second.type, second.target) == ("b", "9p", f"{tmp_path}/b/c")
    assert second.flags == 0x4 | 0x2 | mount.READ_ONLY
    assert second.data == "trans=virtio,version=9p2000.L,msize=512000"
    assert (tmp_path / "b" / "c").is_dir()


def test_no_share_is_no_fault(mounted):
    assert share.mount_all("console=ttyS0 quiet") == 0
    assert mounted == []


def test_others_are_mounted_when_one_cannot_be(mounted, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(share, "_has_filesystem", lambda kind: kind == "virtiofs")
    words = [
        f"sampan.share=a:9p:{tmp_path}/bad", f"sampan.share=b:virtiofs:{tmp_path}/bad2",
        f"sampan.share=c:9p:{tmp_path}/good",
    ]  # fmt: skip
    assert share.mount_all(" ".join(words)) == 1
    assert [call.source for call in mounted] == ["c"]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"sampan: share a at {tmp_path}/bad FAILED: No such device; its kern")
    assert "sampan/kernel-generic" in said[0]
    assert said[1] == f"sampan: share b at {tmp_path}/bad2 FAILED: No such device"


@pytest.mark.parametrize("rest", ["", "a", "a:nfs:/a", "a:9p:a", "a:9p:/a:rw", "a:9p:/a:ro:x"])
def test_words_that_make_no_sense(mounted, rest):
    with pytest.raises(AgentError, match="which is no share"):
        share.mount_all(f"sampan.share={rest}")
    assert mounted == []


def test_file_systems_of_this_kernel():
    assert share._has_filesystem("proc")
    assert not share._has_filesystem("no-such")

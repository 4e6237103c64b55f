import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.machine.device import Owners, Share, ShareKind
from sampan.machine.model import MachineSpec
from sampan.machine.sharing import share


@pytest.mark.parametrize(
    ("text", "source", "target", "read_only", "kind"),
    [
        ("/a:/b", "/a", "/b", False, "virtiofs"),
        ("/a:/b:ro", "/a", "/b", True, "virtiofs"),
        ("/a:/b:rw,9p", "/a", "/b", False, "9p"),
        ("/a:/b:9p,ro", "/a", "/b", True, "9p"),
        ("/a:/b/", "/a", "/b", False, "virtiofs"),
        ("/with:colon:/b:ro", "/with:colon", "/b", True, "virtiofs"),
        ("/with:/in:/b", "/with:/in", "/b", False, "virtiofs"),
    ],
)
def test_what_users_say(text, source, target, read_only, kind):
    [found] = share.parse([text])
    assert found == Share(
        source=Path(source), tag="share0", target=target, read_only=read_only, kind=ShareKind(kind)
    )


def test_sources_are_absolute_and_tags_differ():
    first, second = share.parse(["src:/src", ".:/work"])
    assert first.source == Path.cwd() / "src"
    assert second.source == Path.cwd()
    assert (first.tag, second.tag) == ("share0", "share1")
    assert [each.tag for each in share.tagged(["a", "b"])] == ["virtiofs0", "virtiofs1"]
    assert share.tagged(["a"])[0].target == ""


@pytest.mark.parametrize("text", ["", "/a", ":/b", "/a:b", "/a:/b:rx", "/a:/b:ro,nfs"])
def test_what_says_nothing_is_refused(text):
    with pytest.raises(UsageError, match="--share") as caught:
        share.parse([text])
    assert caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_a_share_or_refused(text):
    try:
        [found] = share.parse([text])
    except UsageError:
        return
    assert found.source.is_absolute()
    assert found.target.startswith("/")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_shares_that_can_be(folder):
    share.check([
        Share(source=folder, tag="a", target="/a"),
        Share(source=folder, tag="b", target="/a/b,c", read_only=True),
        Share(source=folder, tag="virtiofs0"),
        Share(source=folder, tag="virtiofs1"),
    ])  # fmt: skip
    share.check([])


@pytest.mark.parametrize(
    "target",
    ["/", "a", "/a b", "/a:b", "/a/../b", "/./a", '/"', "/proc", "/sys/fs", "/dev/x", "/a\n"],
)
def test_targets_that_cannot_be(folder, target):
    with pytest.raises(UsageError, match="cannot mount a share"):
        share.check([Share(source=folder, tag="a", target=target)])


@pytest.mark.parametrize("tag", ["", "a b", "a:b", "a,b", "a" * 32])
def test_tags_that_cannot_be(folder, tag):
    with pytest.raises(UsageError, match="cannot be the tag"):
        share.check([Share(source=folder, tag=tag, kind=ShareKind.PLAN9)])


def test_sources_that_cannot_be(folder, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for source, why in ((tmp_path / "none", "is not there"), (file, "is not a folder")):
        with pytest.raises(UsageError, match=why):
            share.check([Share(source=source, tag="a")])


def test_events_are_asked_for():
    [share_] = share.parse(["/a:/b:events"])
    assert share_.events
    assert not share.parse(["/a:/b"])[0].events


@pytest.mark.parametrize("fields", [{"target": ""}, {"read_only": True}, {"kind": ShareKind.PLAN9}])
def test_events_that_cannot_be_told(folder, fields):
    wanted = {"source": folder, "tag": "a", "target": "/a", "events": True}
    share.check([Share(**wanted)])
    with pytest.raises(UsageError, match="cannot be told to the guest"):
        share.check([Share(**(wanted | fields))])


def test_what_is_there_twice(folder):
    with pytest.raises(UsageError, match="2 shares cannot all be mounted at /a"):
        share.check([Share(source=folder, tag=tag, target="/a") for tag in ("a", "b")])
    with pytest.raises(UsageError, match="2 shares cannot all be called a"):
        share.check([Share(source=folder, tag="a", target=target) for target in ("/a", "/b")])


def test_owners_of_9p_need_attributes(folder, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "no")

    monkeypatch.setattr(os, "getxattr", unsupported)
    for which, instead in (
        ({"kind": ShareKind.PLAN9}, "by virtiofs"),
        ({"owners": Owners.ATTRIBUTES}, "owners=host"),
    ):
        with pytest.raises(UsageError, match="no extended attributes") as caught:
            share.check([Share(source=folder, tag="a", **which)])
        assert instead in caught.value.hint
        share.check([Share(source=folder, tag="a", read_only=True, **which)])
    share.check([Share(source=folder, tag="a")])


def test_owners_are_for_virtiofs(folder):
    [found] = share.parse([f"{folder}:/a:owners=attributes,events"])
    assert (found.owners, found.events) == (Owners.ATTRIBUTES, True)
    [found] = share.parse([f"{folder}:/a:9p,owners=host"])
    with pytest.raises(UsageError, match="shared by 9P, which keeps owners in attributes"):
        share.check([found])


def test_the_command_line_says_what_to_mount():
    shares = (
        Share(source=Path("x"), tag="a", target="/a"),
        Share(source=Path("x"), tag="b"),
        Share(source=Path("x"), tag="c", target="/c", read_only=True, kind=ShareKind.PLAN9),
    )
    spec = MachineSpec(kernel=Path("k"), cmdline="quiet", shares=shares)
    assert share.command_line(spec) == "quiet sampan.share=a:virtiofs:/a sampan.share=c:9p:/c:ro"
    assert share.command_line(MachineSpec(kernel=Path("k"), cmdline="quiet ")) == "quiet "


def test_a_command_line_that_is_too_long():
    shares = (Share(source=Path("x"), tag="a", target="/a" + "a" * 2048),)
    with pytest.raises(UsageError, match="do not fit"):
        share.command_line(MachineSpec(kernel=Path("k"), shares=shares))

import pytest

from sampan.guest.agent import bundle
from sampan.guest.agent.fault import DocumentError


def test_load(make_bundle):
    loaded = bundle.load(make_bundle("002-my-app", runtime={"mkdir": ["/x"]}))
    assert (loaded.label, loaded.name) == ("002-my-app", "my-app")
    assert loaded.root == f"{loaded.path}/rootfs"
    assert loaded.runtime.mkdir == ("/x",)


def test_services_have_no_number(make_bundle):
    loaded = bundle.load(make_bundle("web", section="services"))
    assert (loaded.label, loaded.name) == ("web", "web")
    assert loaded.runtime.mounts == ()


def test_a_missing_config(tmp_path):
    with pytest.raises(DocumentError, match=r"config.json: No such file"):
        bundle.load(str(tmp_path))


def test_folders_in_order(tmp_path):
    for name in ("001-b", "000-a", "010-c"):
        (tmp_path / "onboot" / name).mkdir(parents=True)
    (tmp_path / "onboot" / "file").write_text("no container")
    found = bundle.folders("onboot", str(tmp_path))
    assert [path.rpartition("/")[2] for path in found] == ["000-a", "001-b", "010-c"]


def test_no_section(tmp_path):
    assert bundle.folders("onboot", str(tmp_path)) == []

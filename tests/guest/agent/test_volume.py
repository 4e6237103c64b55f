import pytest

from sampan.guest.agent import kernel, mount, volume
from sampan.guest.agent.fault import AgentError


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """The mount calls that were made; volumes are below tmp_path/containers/volumes."""
    calls: list[mount.Call] = []
    monkeypatch.setattr(kernel, "mount", calls.append)
    base = tmp_path / "containers" / "volumes"

    def folders(section):
        return sorted(str(path) for path in base.iterdir()) if section == "volumes" else []

    monkeypatch.setattr(volume, "folders", folders)
    return base, calls


def test_a_writable_volume_is_an_overlay(mounted):
    base, calls = mounted
    for name in ("lower", "tmp", "merged"):
        (base / "data" / name).mkdir(parents=True)
    volume.mount_all()
    assert [(c.type, c.target) for c in calls] == [
        ("tmpfs", f"{base}/data/tmp"),
        ("overlay", f"{base}/data/merged"),
    ]
    assert f"upperdir={base}/data/tmp/upper" in calls[1].data
    assert (base / "data" / "tmp" / "work").is_dir()


def test_a_readonly_volume_is_a_readonly_bind(mounted):
    base, calls = mounted
    for name in ("lower", "merged"):
        (base / "img" / name).mkdir(parents=True)
    volume.mount_all()
    bind, remount = calls
    assert (bind.source, bind.flags) == (f"{base}/img/lower", mount.BIND)
    assert remount.flags == mount.BIND | mount.REMOUNT | mount.READ_ONLY


def test_a_broken_volume(mounted):
    base, _ = mounted
    (base / "odd").mkdir(parents=True)
    with pytest.raises(AgentError, match="needs the folders `lower` and `merged`"):
        volume.mount_all()


def test_a_refused_mount(mounted, monkeypatch):
    base, _ = mounted
    for name in ("lower", "merged"):
        (base / "img" / name).mkdir(parents=True)

    def refuse(call):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(kernel, "mount", refuse)
    with pytest.raises(AgentError, match="img: Operation not permitted"):
        volume.mount_all()

import json
import os
from pathlib import Path

import pytest

from sampan.guest.agent import bundle, container, kernel, mount, netlink, process
from sampan.guest.agent.fault import AgentError

CRUN = """#!/bin/sh
# acts as an OCI runtime: a container is a sleep, or `false` when its name says so
case $1 in
create) shift
    while [ $# -gt 1 ]; do [ "$1" = --pid-file ] && file=$2; shift; done
    [ "$1" = refused ] && { echo no rights >&2; exit 4; }
    sleep 0.05 & echo $! >"$file" ;;
start) [ "$2" = stuck ] && { echo cannot >&2; exit 1; }; exit 0 ;;
esac
"""


@pytest.fixture
def tool(tmp_path):
    path = tmp_path / "crun"
    path.write_text(CRUN)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def in_child():
    """Runs a function in a child that is a subreaper; the number it returns is the status."""

    def run(function):
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                kernel.become_subreaper()
                status = function()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run


def test_a_container_from_beginning_to_end(tool, make_bundle, tmp_path, in_child):
    loaded = bundle.load(make_bundle(runtime={}))
    state = tmp_path / "state"
    assert in_child(lambda: container.run(tool, loaded, str(state), out=1, err=2)) == 0
    assert (state / "pid").exists()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("000-refused", "crun create ended with status 4"),
        ("000-stuck", "crun start ended with status 1: cannot"),
    ],
)
def test_refusals(tool, make_bundle, tmp_path, in_child, label, message):
    loaded = bundle.load(make_bundle(label, runtime={}))

    def attempt():
        try:
            container.run(tool, loaded, str(tmp_path / "state"), out=1, err=2)
        except AgentError as error:
            return 0 if str(error) == message else 1
        return 2

    assert in_child(attempt) == 0


def test_prepare(monkeypatch, make_bundle, tmp_path):
    calls: list[mount.Call] = []
    monkeypatch.setattr(kernel, "mount", calls.append)
    monkeypatch.setattr(container, "CGROUPS", str(tmp_path / "cgroup"))
    runtime = {
        "mounts": [{"destination": str(tmp_path / "m"), "type": "tmpfs", "source": "tmpfs"}],
        "mkdir": [str(tmp_path / "made" / "x"), "inside"],
        "cgroups": ["/a/b"],
    }
    loaded = bundle.load(make_bundle(runtime=runtime))
    container.prepare(loaded)
    assert [call.target for call in calls] == [str(tmp_path / "m")]
    for path in (tmp_path / "m", tmp_path / "made/x", tmp_path / "cgroup/a/b"):
        assert path.is_dir()
    assert Path(loaded.root, "inside").is_dir()


def test_a_refused_mount_is_explained(monkeypatch, make_bundle, tmp_path):
    def refuse(call):
        raise OSError(19, "No such device")

    monkeypatch.setattr(kernel, "mount", refuse)
    mounts = [{"destination": str(tmp_path / "m"), "type": "nofs", "source": "s"}]
    loaded = bundle.load(make_bundle(runtime={"mounts": mounts}))
    with pytest.raises(AgentError, match=f"cannot mount s on {tmp_path}/m: No such device"):
        container.prepare(loaded)


def test_attach(monkeypatch, make_bundle, tmp_path):
    given: list[tuple[str, int]] = []
    calls: list[mount.Call] = []
    monkeypatch.setattr(netlink, "give", lambda interface, pid: given.append((interface.name, pid)))
    monkeypatch.setattr(kernel, "mount", calls.append)
    path = tmp_path / "netns" / "x"
    runtime = {"interfaces": [{"name": "wg0", "add": "wireguard"}], "bindNS": {"net": str(path)}}
    container.attach(bundle.load(make_bundle(runtime=runtime)).runtime, 42)
    assert given == [("wg0", 42)]
    assert [(call.source, call.target) for call in calls] == [("/proc/42/ns/net", str(path))]
    assert path.is_file()


def test_clean_takes_away_only_its_own(monkeypatch, make_bundle):
    gone: list[str] = []
    monkeypatch.setattr(kernel, "unmount", gone.append)
    path = make_bundle()
    mounts = [{"destination": place} for place in (f"{path}/tmp", f"{path}/rootfs", "/run/q")]
    Path(path, "runtime.json").write_text(json.dumps({"mounts": mounts}))
    container.clean(bundle.load(path))
    assert gone == [f"{path}/rootfs", f"{path}/tmp"]


def test_no_runtime_in_the_image(monkeypatch):
    monkeypatch.setattr(process, "find", lambda *names: None)
    with pytest.raises(AgentError, match="add sampan/crun or sampan/runc to `init`"):
        container.find_runtime()

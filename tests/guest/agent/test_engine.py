import json
from pathlib import Path

import pytest

from sampan.guest.agent import bundle, container, engine, kernel, process
from sampan.guest.agent.fault import AgentError


@pytest.fixture
def ctr(monkeypatch, tmp_path):
    """Calls of `ctr` are recorded; answers come from a list of (status, text)."""
    calls: list[list[str]] = []
    answers: list[tuple[int, str]] = []

    def run(argv):
        calls.append(list(argv))
        status, said = answers.pop(0) if answers else (0, "")
        if "run" in argv and status == 0:
            pid_file = argv[argv.index("--pid-file") + 1]
            Path(pid_file).write_text("77")
        return status, said

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(
        process, "find", lambda *names: "/usr/bin/crun" if "crun" in names else None
    )
    monkeypatch.setattr(engine, "STATE", str(tmp_path / "state"))
    return calls, answers


@pytest.fixture
def web(make_bundle):
    return bundle.load(make_bundle("web", section="services"))


def test_start_through_containerd(ctr, web, tmp_path):
    calls, _ = ctr
    assert engine.ContainerdEngine("/usr/bin/ctr").start(web) == 77
    [argv] = calls
    assert argv[:5] == ["/usr/bin/ctr", "--namespace", "services.linuxkit", "run", "--detach"]
    assert argv[-3:] == ["--runc-binary", "/usr/bin/crun", "web"]
    assert "file:///var/log/web.log" in argv
    written = json.loads((tmp_path / "state" / "web" / "config.json").read_text())
    assert written["root"]["path"] == f"{web.path}/rootfs"
    assert "hooks" not in written


def test_a_container_that_is_left_over_makes_way(ctr, web):
    calls, answers = ctr
    answers.append((1, 'ctr: container "web": already exists'))
    assert engine.ContainerdEngine("/usr/bin/ctr").start(web) == 77
    assert [argv[3:5] for argv in calls] == [
        ["run", "--detach"], ["tasks", "delete"], ["containers", "delete"], ["run", "--detach"],
    ]  # fmt: skip


def test_a_refused_start_says_why(ctr, web):
    _, answers = ctr
    answers.append((1, "time=… warning\nctr: no such file"))
    with pytest.raises(AgentError, match=r"^ctr: no such file$"):
        engine.ContainerdEngine("/usr/bin/ctr").start(web)


def test_the_status_of_an_ended_task(ctr, web):
    _, answers = ctr
    answers.append((0, 'level=warning msg="task web exit with non-zero exit code 5"'))
    assert engine.ContainerdEngine("/usr/bin/ctr").collect(web, 77) == 5


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [(0, "", 0), (1, "not found", 1), (0, 'non-zero exit code 137"', 137), (0, "exit code x", 0)],
)
def test_deleted_status(status, said, expected):
    assert engine.deleted_status(status, said) == expected


def test_adoption_through_containerd(ctr, web):
    _, answers = ctr
    listing = "TASK  PID  STATUS\nother 5 RUNNING\nweb 77 RUNNING"
    answers += [(0, listing), (0, listing.replace("77 RUNNING", "77 STOPPED"))]
    running = engine.ContainerdEngine("/usr/bin/ctr")
    assert running.adopt(web) == 77
    assert running.adopt(web) is None


def test_work_before_the_start_becomes_a_hook(make_bundle):
    runtime = {"bindNS": {"net": "/run/netns/x"}}
    loaded = bundle.load(make_bundle("web", section="services", runtime=runtime))
    hooks = engine.containerd_config(loaded)["hooks"]["createRuntime"]
    assert hooks == [{"path": "/usr/bin/service", "args": ["service", "hook", loaded.path]}]
    assert "hooks" not in loaded.config.raw


def test_the_namespace_of_runtime_json(ctr, make_bundle):
    calls, _ = ctr
    runtime = {"namespace": "mine"}
    loaded = bundle.load(make_bundle("web", section="services", runtime=runtime))
    engine.ContainerdEngine("/usr/bin/ctr").start(loaded)
    assert calls[0][2] == "mine"


def test_what_was_created_but_not_started_makes_way(web, monkeypatch, tmp_path):
    done = []

    def refuse(tool, bundle):
        raise AgentError("crun start ended with status 1")

    monkeypatch.setattr(engine, "STATE", str(tmp_path / "state"))
    monkeypatch.setattr(engine, "LOGS", str(tmp_path))
    monkeypatch.setattr(kernel, "become_subreaper", lambda: None)
    monkeypatch.setattr(container, "find_runtime", lambda: "/usr/bin/crun")
    monkeypatch.setattr(container, "create", lambda *a, **k: 77)
    monkeypatch.setattr(container, "start", refuse)
    monkeypatch.setattr(container, "delete", lambda tool, bundle: done.append(bundle.name))
    monkeypatch.setattr(process, "wait", done.append)
    with pytest.raises(AgentError, match="crun start"):
        engine.RuntimeEngine().start(web)
    assert done == ["web", 77]

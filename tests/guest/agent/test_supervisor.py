import signal

import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.agent.supervisor import GRACE_S, START, Supervisor


@pytest.fixture
def core():
    return Supervisor([("web", "on-failure"), ("once", "no"), ("ever", "always")])


def do(core):
    return [(action.name, action.signal) for action in core.actions()]


def run(core, name, pid=10, now=0.0):
    """Bring a service up."""
    core.start(name)
    assert do(core) == [(name, START)]
    core.started(name, pid, now)


def state(core, name):
    return core.services[name].state


def test_a_failed_service_waits_and_starts_again(core):
    run(core, "web")
    core.exited("web", 3, 1.0)
    assert state(core, "web") == "waiting"
    assert core.news() == ["service web ended with status 3; starting again in 0.5 s"]
    assert core.next_timer() == 1.5
    core.tick(1.4)
    assert do(core) == []
    core.tick(1.5)
    assert do(core) == [("web", START)]
    assert core.services["web"].restarts == 1
    assert core.next_timer() is None


def test_a_service_that_ended_well_stays_down_without_a_word(core):
    run(core, "web")
    core.exited("web", 0, 1.0)
    assert state(core, "web") == "down"
    assert core.news() == []


def test_never_and_always(core):
    for name in ("once", "ever"):
        run(core, name)
        core.exited(name, 137, 1.0)
    assert (state(core, "once"), state(core, "ever")) == ("down", "waiting")
    assert core.news()[0] == "service once was killed by SIGKILL"


def test_what_cannot_start_is_tried_again(core):
    core.start("web")
    do(core)
    core.failed("web", "no such program", 1.0)
    assert core.news() == ["service web cannot start: no such program; starting again in 0.5 s"]
    assert "no such program" in core.table(1.0)


def test_stop_asks_then_kills(core):
    run(core, "web")
    core.stop("web", 5.0)
    assert do(core) == [("web", signal.SIGTERM)]
    assert core.next_timer() == 5.0 + GRACE_S
    core.tick(5.0 + GRACE_S)
    assert do(core) == [("web", signal.SIGKILL)]
    core.exited("web", 137, 16.0)
    assert state(core, "web") == "down"
    assert core.news() == []


def test_a_stopped_service_can_start(core):
    run(core, "web")
    core.stop("web", 1.0)
    do(core)
    core.exited("web", 0, 1.1)
    run(core, "web", pid=11)
    assert core.services["web"].pid == 11


def test_restart(core):
    run(core, "web")
    core.restart("web", 1.0)
    assert do(core) == [("web", signal.SIGTERM)]
    core.exited("web", 143, 1.1)
    assert do(core) == [("web", START)]


def test_restart_of_one_that_is_down_starts_it(core):
    core.restart("web", 1.0)
    assert do(core) == [("web", START)]


def test_stopping_one_that_waits_needs_no_signal(core):
    run(core, "ever")
    core.exited("ever", 0, 1.0)
    core.stop("ever", 1.1)
    assert do(core) == []
    assert (state(core, "ever"), core.next_timer()) == ("down", None)


def test_starting_one_that_runs_is_refused(core):
    run(core, "web")
    with pytest.raises(AgentError, match="service web is running"):
        core.start("web")


def test_an_unknown_service_is_named_with_those_there_are(core):
    with pytest.raises(AgentError, match=r"no service 'x' in this image \(it has: web, once, ever"):
        core.stop("x", 0.0)


def test_table(core):
    run(core, "web", pid=42, now=100.0)
    lines = core.table(107.0).splitlines()
    assert lines[0].split() == ["NAME", "STATE", "PID", "UP", "RESTARTS", "LAST", "END"]
    assert lines[1].split() == ["web", "running", "42", "7s", "0"]
    assert core.table(107.0, ["once"]).splitlines()[1].split() == ["once", "down", "-", "-", "0"]

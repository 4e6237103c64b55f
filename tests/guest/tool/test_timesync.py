import socket

import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import timesync


class Fake(timesync.Clock):
    def __init__(self, host, own):
        super().__init__()
        self.host, self.own, self.sets = host, own, []

    def host_s(self):
        return self.host

    def own_s(self):
        return self.own

    def set(self, seconds):
        self.sets.append(seconds)


@pytest.mark.parametrize(
    ("own", "step", "moved"),
    [
        (1000.0, 2.0, 0.0),
        (1002.4, 2.0, 0.0),
        (998.0, 2.0, 2.5),
        (5000.0, 2.0, -3999.5),
        (999.0, 0.0, 1.5),
        (1000.0, 0.0, 0.0),
    ],
)
def test_the_clock_is_set_when_it_is_off(own, step, moved):
    clock = Fake(1000, own)
    assert timesync.correct(clock, step) == moved
    assert clock.sets == ([own + moved] if moved else [])


def test_the_real_time_clock(tmp_path):
    (tmp_path / "since_epoch").write_text("1700000000\n")
    clock = timesync.Clock(str(tmp_path))
    assert clock.host_s() == 1700000000
    assert clock.own_s() > 1700000000
    with pytest.raises(AgentError, match="cannot read the real-time clock"):
        timesync.Clock(str(tmp_path / "missing")).host_s()


@pytest.mark.parametrize("words", [["x"], ["-port", "many"], ["-speed", "1"]])
def test_what_makes_no_sense(words):
    with pytest.raises(AgentError):
        timesync.main(words)


def test_who_calls_has_the_clock_set_at_once(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clock = Fake(1000, 990.0)
        rounds = iter([None, KeyboardInterrupt()])

        def wait(given, interval_s):
            assert (given, interval_s) == (listener, 10.0)
            if (end := next(rounds)) is not None:
                raise end
            with socket.create_connection(listener.getsockname()):
                return _wait(given, interval_s)

        _wait = timesync._wait
        monkeypatch.setattr(timesync, "_wait", wait)
        monkeypatch.setattr(timesync, "_listen", lambda cid, port: listener)
        monkeypatch.setattr(timesync, "Clock", lambda: clock)
        with pytest.raises(KeyboardInterrupt):
            timesync.main(["-port", "0xf3a4"])
    assert clock.sets == [1000.5]
    assert "the clock was -10 s off" in capsys.readouterr().out


def test_nobody_called():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not timesync._wait(listener, 0.0)


def test_a_machine_without_vsock(monkeypatch, capsys):
    def refuse(*words):
        raise OSError(97, "Address family not supported")

    monkeypatch.setattr("socket.socket", refuse)
    assert timesync._listen(0, 1) is None
    assert "nobody can call" in capsys.readouterr().out
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    assert not timesync._wait(None, 7.0)
    assert slept == [7.0]

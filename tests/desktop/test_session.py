import os
import pty
import signal
import threading

import pytest

from sampan.desktop import session
from sampan.desktop.network import Networking, Options, Published
from sampan.errors import SampanError
from sampan.machine import Accelerator, Ending, MachineSpec, lifecycle
from sampan.machine.control import CommandError
from sampan.machine.qmp import Failure
from sampan.machine.terminal import ESCAPES

NONE = Options(networking=Networking.NONE)


@pytest.fixture
def play(fake_qemu, runtime_root, tmp_path):
    """Run a machine that acts out steps; gives the outcome, the output and the events.

    `at` maps a text to what to do when the output has shown it.
    """

    def played(*steps, at=None, deadline_s=10.0, keyboard=None, network=NONE):
        kernel = tmp_path / "script"
        kernel.write_text("\n".join(steps))
        reading, writing = os.pipe()
        events: list[session.Event] = []
        options = session.Options(
            stdio=session.Stdio(output=writing, keyboard=keyboard, plain=True),
            network=network,
            runtime_root=runtime_root,
            power_off_deadline_s=deadline_s,
        )
        reader = Reader(reading, dict(at or {}))
        reader.start()
        try:
            spec = MachineSpec(kernel=kernel, accel=Accelerator.TCG)
            outcome = session.run(spec, options, events.append)
        finally:
            os.close(writing)
            reader.join()
        return outcome, reader.text, events

    return played


class Reader(threading.Thread):
    """Takes what the session prints, and does something when it has shown a text."""

    def __init__(self, descriptor, at):
        super().__init__()
        self.descriptor = descriptor
        self.at = at
        self.text = ""

    def run(self):
        while data := os.read(self.descriptor, 4096):
            self.text += data.decode()
            for text in [text for text in self.at if text in self.text]:
                self.at.pop(text)()
        os.close(self.descriptor)


def send(number):
    return lambda: os.kill(os.getpid(), number)


def test_a_guest_that_powers_off(play):
    outcome, text, events = play("say hi", "poweroff")
    assert text == "hi\n"
    assert (outcome.end.ending, outcome.cause) == (Ending.POWERED_OFF, session.Cause.GUEST)
    started, ended = events
    assert isinstance(started, session.Started)
    assert (started.accel, started.escapes) == (Accelerator.TCG, "")
    assert ended == session.Ended(outcome.end)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_presses_the_power_button(play, number):
    outcome, text, events = play("say up", "button", "say off", "poweroff", at={"up": send(number)})
    assert text == "up\noff\n"
    assert (outcome.end.ending, outcome.cause) == (Ending.POWERED_OFF, session.Cause.SIGNAL)
    assert session.Stopping(10.0) in events


def test_a_guest_that_was_still_booting_hears_a_later_press(play, monkeypatch):
    monkeypatch.setattr(lifecycle, "PRESS_AGAIN_S", 0.05)
    outcome, _, _ = play("say up", "button", "button", "poweroff", at={"up": send(signal.SIGTERM)})
    assert outcome.end.ending is Ending.POWERED_OFF


def test_an_interrupt_is_told_apart(play):
    outcome, _, _ = play("say up", "button", "poweroff", at={"up": send(signal.SIGINT)})
    assert (outcome.end.clean, outcome.cause) == (True, session.Cause.INTERRUPT)


def test_a_guest_that_does_not_obey_is_ended(play):
    outcome, _, _ = play("say up", "hang", at={"up": send(signal.SIGTERM)}, deadline_s=0.05)
    assert (outcome.end.ending, outcome.cause) == (Ending.FORCED, session.Cause.SIGNAL)


def test_a_button_that_cannot_be_pressed_costs_nothing_else(play, monkeypatch, caplog):
    async def refuse(vm):
        raise CommandError("system_powerdown", Failure(0, "GenericError", "not now"))

    monkeypatch.setattr(lifecycle.VM, "press_power_button", refuse)
    outcome, _, _ = play("say up", "hang", at={"up": send(signal.SIGTERM)}, deadline_s=0.05)
    assert (outcome.end.ending, outcome.cause) == (Ending.FORCED, session.Cause.SIGNAL)
    assert "not now" in caplog.text


def test_a_second_signal_ends_it_at_once(play):
    at = {"up": send(signal.SIGTERM), "pressed": send(signal.SIGTERM)}
    outcome, _, _ = play("say up", "button", "say pressed", "hang", at=at, deadline_s=600.0)
    assert outcome.end.ending is Ending.FORCED


def test_keys_and_escapes(play):
    master, keyboard = pty.openpty()
    at = {
        "login": lambda: os.write(master, b"root\r\x01h\x01p"),
        "bye": lambda: os.write(master, b"\x01x"),
    }
    steps = ("say login", "await root\r", "button", "say bye", "hang")
    outcome, _, events = play(*steps, at=at, keyboard=keyboard)
    os.close(master)
    os.close(keyboard)
    assert (outcome.end.ending, outcome.cause) == (Ending.FORCED, session.Cause.USER)
    assert events[0].escapes == ESCAPES
    assert session.Helped(ESCAPES) in events


def test_published_ports_are_told(play):
    user = Options(networking=Networking.USER, publish=("0:80",))
    _, _, events = play("poweroff", network=user)
    [published] = events[0].forwards
    assert published == Published(host_port=40080, guest_port=80, bind="127.0.0.1", protocol="tcp")


def test_ports_of_our_network_are_told(play):
    _, _, events = play("poweroff", network=Options(publish=("0:80",)))
    [published] = events[0].forwards
    assert published.host_port
    assert (published.bind, published.guest_port) == ("127.0.0.1", 80)


def test_failures_to_start_pass_through(play):
    with pytest.raises(SampanError, match="QEMU did not start"):
        play("silent")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    for thread in threading.enumerate():
        if thread.name == "console output":  # it has been told to end
            thread.join()

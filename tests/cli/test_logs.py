import subprocess
import sys


def test_what_it_said(machines):
    record = machines.start("web", "say one", "say \x1b[1mtwo", "poweroff")
    machines.store.wait_ended(record, 60)
    assert machines.run("logs", "web").stdout == "one\ntwo\n"
    assert machines.run("logs", "--tail", "1", "web").stdout == "two\n"


def test_following(machines):
    machines.start("web", "say one", "button", "say two", "poweroff")
    machines.run("stop", "web")
    assert machines.run("logs", "-f", "web").stdout == "one\ntwo\n"


def test_following_until_the_end(machines):
    machines.start("web", "say one", "button", "say two", "poweroff")
    command = [sys.executable, "-m", "sampan", "logs", "-f", "web"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "one\n"
        machines.run("stop", "web")
        assert child.stdout.read() == "two\n"
        assert child.wait(timeout=60) == 0

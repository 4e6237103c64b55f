import os
from pathlib import Path

import pytest

from sampan.guest.agent import bundle, container, kernel, sequence
from sampan.guest.agent.fault import AgentError
from sampan.guest.agent.sequence import STOPPED, Settings, run_section


@pytest.fixture
def boot(monkeypatch, tmp_path, make_bundle):
    """Runs a section whose containers do what `acts` says: a status, or an error to raise."""
    acts: dict[str, int | Exception] = {}
    order: list[str] = []

    def run(tool, loaded, state, *, out, err, debug):
        order.append(loaded.name)
        os.write(out, b"%s says so\n" % loaded.name.encode())
        result = acts.get(loaded.name, 0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(kernel, "become_subreaper", lambda: None)
    monkeypatch.setattr(container, "find_runtime", lambda: "/usr/bin/crun")
    monkeypatch.setattr(container, "run", run)
    monkeypatch.setattr(sequence, "LOGS", str(tmp_path / "log"))
    monkeypatch.setattr(sequence, "STATE", str(tmp_path / "state"))
    original = bundle.folders
    monkeypatch.setattr(
        bundle, "folders", lambda section: original(section, str(tmp_path / "containers"))
    )
    return acts, order, make_bundle


def test_one_after_another(boot, capsys, tmp_path):
    _, order, make = boot
    make("001-two")
    make("000-one")
    assert run_section("onboot", Settings()) == 0
    assert order == ["one", "two"]
    assert capsys.readouterr().out == "one says so\ntwo says so\n"
    assert (tmp_path / "log" / "onboot" / "000-one.out.log").read_text() == "one says so\n"
    assert (tmp_path / "log" / "onboot" / "000-one.log").exists()


def test_a_failure_is_shown_and_the_boot_goes_on(boot, capsys):
    acts, order, make = boot
    make("000-one")
    make("001-two")
    acts["one"] = 3
    assert run_section("onboot", Settings()) == 1
    assert order == ["one", "two"]
    assert "sampan: onboot 000-one FAILED: ended with status 3\n" in capsys.readouterr().out


def test_a_failure_may_stop_the_boot(boot, capsys):
    acts, order, make = boot
    make("000-one", annotations={"dev.sampan.onfailure": "stop"})
    make("001-two")
    acts["one"] = AgentError("crun create ended with status 1")
    assert run_section("onboot", Settings()) == STOPPED
    assert order == ["one"]
    assert "000-one FAILED: crun create ended with status 1" in capsys.readouterr().out


def test_a_broken_bundle_is_a_failure(boot, capsys, tmp_path):
    _, _, make = boot
    Path(make("000-one"), "config.json").write_text("{")
    assert run_section("onboot", Settings()) == 1
    assert "config.json: not JSON" in capsys.readouterr().out


def test_output_may_go_to_the_console(boot, capfd):
    _, _, make = boot
    make("000-one")
    run_section("onboot", Settings(console=True, debug=True))
    assert capfd.readouterr().out == "sampan: onboot 000-one: starting\none says so\n"


def test_nothing_to_run(boot):
    assert run_section("onshutdown", Settings()) == 0


@pytest.mark.parametrize(
    ("line", "debug", "console"),
    [
        ("console=ttyS0 quiet", False, False),
        ("linuxkit.runc_debug=1 linuxkit.runc_console=1", True, True),
        ("linuxkit.runc_debug=0", False, False),
    ],
)
def test_settings(line, debug, console):
    settings = Settings.parse(line)
    assert (settings.debug, settings.console) == (debug, console)

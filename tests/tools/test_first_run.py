"""The script behind `make run`; the whole of it is run by a test that boots a machine."""

import http.server
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("first_run", ROOT / "tools" / "first_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Welcome")

    def log_message(self, *_):
        pass


@pytest.fixture
def port():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def power_button():
    """An event that is set when the process is told to press the power button."""
    pressed = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: pressed.set())
    yield pressed
    signal.signal(signal.SIGTERM, before)


def test_the_page_is_shown_and_the_machine_told_to_go(script, port, power_button, capsys):
    visitor = script.Visitor(port)
    visitor.start()
    visitor.join()
    assert visitor.page == "Welcome"
    assert power_button.wait(60)
    said = capsys.readouterr().out
    assert f"http://127.0.0.1:{port}/ after" in said
    assert "Welcome" in said


def test_at_a_terminal_the_machine_stays(script, port, power_button, capsys, monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    visitor = script.Visitor(port)
    visitor.start()
    visitor.join()
    assert not power_button.is_set()
    assert "Ctrl-A x ends the machine" in capsys.readouterr().out


def test_nobody_answers(script, power_button, capsys):
    visitor = script.Visitor(script.free_port(0), deadline_s=0.01)
    visitor.start()
    visitor.join()
    assert visitor.page is None
    assert power_button.wait(60)
    assert "no page at" in capsys.readouterr().out


def test_the_visitor_leaves_when_told(script, power_button):
    visitor = script.Visitor(script.free_port(0))
    visitor.start()
    visitor.left.set()
    visitor.join()
    assert not power_button.is_set()


def test_a_port_that_is_taken_is_left_alone(script):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert script.free_port(number) != number
    assert script.free_port(number) == number


def test_a_build_that_fails_ends_it(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "sampan", lambda words: 2)
    assert script.build_and_run(tmp_path, Path("web.yml")) == 2


@pytest.mark.parametrize(("page", "status", "wanted"), [("x", 0, 0), (None, 0, 1), ("x", 1, 1)])
def test_status_tells_whether_all_went_well(script, tmp_path, monkeypatch, page, status, wanted):
    typed = []

    def sampan(words):
        typed.append(words)
        return status if words[0] == "run" else 0

    monkeypatch.setattr(script, "sampan", sampan)
    monkeypatch.setattr(script.Visitor, "run", lambda self: setattr(self, "page", page))
    assert script.build_and_run(tmp_path, Path("a/web.yml")) == wanted
    assert typed[0] == ["build", "--dir", str(tmp_path), "a/web.yml"]
    assert typed[1][-1] == str(tmp_path / "web")


@pytest.mark.guest
@pytest.mark.timeout(1800)
def test_make_run_without_a_terminal():
    """Builds, boots, fetches, powers off: what a newcomer sees, with the usual cache."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "first_run.py"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1700,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "<html" in done.stdout.lower()

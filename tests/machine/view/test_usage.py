import os
import threading

import pytest

from sampan.base import proc
from sampan.machine.view import usage


def _burn():
    while usage.of_process(os.getpid()).cpu_s < 0.1:
        sum(range(100_000))


def test_this_process():
    _burn()
    used = usage.of_process(os.getpid())
    assert used.cpu_s >= 0.1
    assert used.rss_bytes > 1 << 20
    assert used.age_s >= 0


def test_a_thread_of_this_process():
    _burn()
    assert usage.of_thread(os.getpid(), threading.get_native_id()) >= 0


def test_what_is_gone():
    child = proc.start(["true"])
    child.wait()
    assert usage.of_process(child.pid) is None
    assert usage.of_thread(child.pid, child.pid) is None


def test_where_there_is_no_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(usage, "_PROC", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "ps"
    program.write_text('#!/bin/sh\n[ $4 = 7 ] && echo " 2048   1:02.50 01:00:00"\n')
    program.chmod(0o755)
    assert usage.of_process(7) == usage.Usage(cpu_s=62.5, rss_bytes=2 << 20, age_s=3600)
    assert usage.of_process(8) is None
    assert usage.of_thread(7, 7) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:07", 7),
        ("0:07.25", 7.25),
        ("02:03", 123),
        ("1-02:03:04", 93784),
        ("10-00:00:00", 864000),
        ("?", 0),
    ],
)
def test_times_as_ps_writes_them(text, seconds):
    assert usage._seconds(text) == seconds

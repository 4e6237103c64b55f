"""SIGKILL at any moment while a machine is saved, or put back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_saved_is_whole(tmp_path, runtime_root):
    program = Path(__file__).with_name("kill_rounds.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path, runtime_root, str(ROUNDS), "1"],
        capture_output=True, text=True, check=False, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert seen["killed"] > ROUNDS / 2
    assert {"snapshot: older", "snapshot: newer", "suspend: older"} <= set(seen), seen

"""How rc.shutdown ends processes: with a shell as init, in a PID namespace of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sampan.guest import packages

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(
        any(shutil.which(each) is None for each in ("busybox", "unshare")),
        reason="needs busybox and unshare",
    ),
]
SCRIPT = Path(packages.__path__[0], "init", "files", "rc.shutdown")
NAMESPACES = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
# the script itself comes from a file; it must never run anywhere else than in a namespace
INIT = """
[ $$ = 1 ] && mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mkdir /run/sampan || exit 99
start() { busybox sh -c "$1" & started=$!; while [ ! -e "/run/$2" ]; do busybox usleep 10000; done; }
start 'trap "echo ended in order; exit" TERM; >/run/1; while :; do busybox usleep 10000; done' 1
start 'trap "" TERM; >/run/2; while :; do busybox usleep 10000; done' 2
stubborn=$started
busybox sh "$1" noop
wait "$stubborn"
echo "the stubborn one: $?"
"""


def test_processes_are_asked_to_end_and_then_made_to(tmp_path):
    ends_processes, _, _ = SCRIPT.read_text().partition("\nsync\n")
    script = tmp_path / "script"
    # nothing of this computer is to be asked; this busybox does not find its own programs by name
    script.write_text(
        ends_processes.replace("service stop-all", "true").replace("usleep", "busybox usleep")
    )
    done = subprocess.run(
        ["unshare", *NAMESPACES, "busybox", "sh", "-c", INIT, "init", script],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if "unshare failed" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.stdout == "ended in order\nthe stubborn one: 137\n", done.stderr

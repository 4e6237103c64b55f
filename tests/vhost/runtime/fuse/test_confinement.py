"""A process that is shut in. Each test has one of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[4] / "src"
PROGRAM = """
import json, os, sys
from pathlib import Path
from sampan.vhost.runtime.fuse import call, confinement
if os.geteuid() == 0 and "user" in sys.argv:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    call.set_process(4, 1)  # the files of its process are its own
done = confinement.confine(Path(sys.argv[1]))
root = "/" if done else sys.argv[1]
fd = os.open(os.path.join(root, "file"), os.O_PATH)
with open(os.open(confinement.HERE + str(fd), os.O_RDWR), "r+") as stream:
    text = stream.read()
    stream.write("!")
status = dict(line.split(":", 1) for line in open("../status").read().splitlines())
print(json.dumps([done, text, int(status["CapEff"], 16), int(status["NoNewPrivs"]), os.path.exists("/etc"), os.path.exists("/proc/self")]))
"""


@pytest.fixture
def folder():
    """One that other users may reach, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="sampan-share-", dir="/tmp") as made:
        yield Path(made)


@pytest.mark.parametrize("who", ["same", "user"])
def test_nothing_but_the_folder_is_left(folder, who):
    (folder / "file").write_text("text")
    if who == "user" and os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        os.chown(folder / "file", 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, who], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(SOURCES)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    confined, text, capabilities, no_new, *others = json.loads(done.stdout)
    assert text == "text"
    assert (folder / "file").read_text() == "text!"
    if not confined:
        pytest.skip("no namespaces here")
    assert others == [False, False]
    assert capabilities == 0x8000001F
    assert no_new == 1

"""SIGKILL at any moment, for Sampan, for the hypervisor, or for both; and the next command."""

import json
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sampan.base import proc
from sampan.machine.registry.record import Status
from sampan.machine.registry.store import Store
from sampan.machine.state import Folder, left_behind

SAMPAN = (sys.executable, "-m", "sampan")
ROUNDS = 200


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1])
def test_what_is_left_is_described_truthfully_and_healed(tmp_path, runtime_root, seed):
    program = Path(__file__).with_name("crash_rounds.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path, runtime_root, str(ROUNDS), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert seen["hypervisor left"] > 10, "the crashes did not meet what they are for"
    assert {"crashed", "stopped", "unknown"} <= set(seen)


_CODE = bytes.fromhex(
    "be a600"  # the text, counted from the start of the setup segment
    "2eac 84c0 7406 baf803 ee ebf4"  # put it out on the first serial port, up to a zero
    "f4 ebfd"  # halt, for ever
)


def tiny_kernel():
    """A kernel of 16 bits that prints `up`; drivers/test_qemu.py explains its parts."""
    setup = bytearray(512)
    setup[0:2], setup[2:6], setup[6:8], setup[0x11] = b"\xeb\x7e", b"HdrS", b"\x03\x02", 1
    setup[0x2C:0x30] = (0x37FFFFFF).to_bytes(4, "little")  # the highest address of an initrd
    setup[0x80 : 0x80 + len(_CODE)] = _CODE
    setup[0xA6:0xAA] = b"up\r\n"
    return bytes(0x1F1) + b"\x01" + bytes(14) + bytes(setup) + bytes(512)


@pytest.mark.guest
@pytest.mark.timeout(600)
@pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU")
def test_the_same_with_qemu(tmp_path, runtime_root, monkeypatch):
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime_root))
    monkeypatch.setenv("SAMPAN_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "web-kernel").write_bytes(tiny_kernel())
    (tmp_path / "web-initrd.img").touch()
    (tmp_path / "web-cmdline").touch()
    store = Store(tmp_path / "state" / "machines", version="1")
    chance = random.Random(1)
    for number in range(10):
        who = chance.choice(("sampan", "hypervisor", "both"))
        with subprocess.Popen(
            [*SAMPAN, "run", "--accel", "tcg", "--mem", "128", "web"],
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            assert child.stderr is not None
            if number % 2:
                assert child.stdout.readline() == b"up\n", child.stderr.read()
            else:  # somewhere in its start
                with suppress(subprocess.TimeoutExpired):
                    child.wait(chance.uniform(0, 1))
            run = next((each.run for each in store.records()), None)
            if run is not None and run.hypervisor is not None and who != "sampan":
                run.hypervisor.kill()
            if who != "hypervisor" or run is None or run.hypervisor is None:
                child.kill()
            child.stdout.read()
        left = [
            each for folder in runtime_root.glob("vm-*") for each in left_behind(Folder(folder))
        ]
        records = store.records()
        assert all(each.status is Status.CRASHED for each in records), records
        assert records or not left
        assert "is still there" not in (records[0].detail if records else "") or left
        done = subprocess.run([*SAMPAN, "rm", "-f", "web"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not any(each.alive() for each in left)
        assert store.names() == ()
        assert list(runtime_root.glob("vm-*")) == []

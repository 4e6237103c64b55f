import asyncio
import os
import threading

import pytest

from sampan import machine
from sampan.errors import UnsupportedError
from sampan.machine import qmp
from sampan.machine.error import MachineError
from sampan.machine.testing import FakeDriver, Script, spec
from sampan.machine.view import metrics
from sampan.machine.view.metrics import CpuThread, DiskCounters, InterfaceCounters

BLOCKS: qmp.Json = [
    {
        "device": "",
        "node-name": "disk0",
        "qdev": "/machine/peripheral-anon/device[0]/virtio-backend",
        "parent": {"node-name": "disk0-file"},
        "stats": {
            "rd_bytes": 4096, "wr_bytes": 512, "rd_operations": 2, "wr_operations": 1,
            "flush_operations": 3, "rd_total_time_ns": 1_500_000_000, "wr_total_time_ns": 0,
            "flush_total_time_ns": 500_000_000, "failed_rd_operations": 1,
            "failed_wr_operations": 2, "failed_flush_operations": 3, "timed_stats": [],
        },
    }
]  # fmt: skip


def live(script, runtime_root, use, **fields):
    options = machine.LaunchOptions(driver=FakeDriver(script), runtime_root=runtime_root)

    async def run():
        async with machine.VM.launch(spec(**fields), options) as vm:
            return await use(vm)

    return asyncio.run(run())


def test_the_counters_of_a_machine(runtime_root):
    thread = threading.get_native_id()
    cpus: qmp.Json = [{"cpu-index": 1, "thread-id": thread}, {"cpu-index": 0, "thread-id": thread}]
    script = Script(answers={"query-cpus-fast": cpus, "query-blockstats": BLOCKS})
    read = live(script, runtime_root, lambda vm: vm.metrics(), name="web", cpus=2, mem_mib=64)
    assert (read.machine, read.cpus, read.memory_bytes) == ("web", 2, 64 << 20)
    assert read.rss_bytes > 0
    assert [each.cpus for each in read.cpu_threads] == [(0, 1)]
    assert read.disks == (
        DiskCounters(
            disk="disk0", read_bytes=4096, written_bytes=512, reads=2, writes=1, flushes=3,
            read_s=1.5, write_s=0.0, flush_s=0.5, errors=6,
        ),
    )  # fmt: skip


def test_a_driver_that_counts_nothing():
    class Mute:
        pid = os.getpid()

        async def execute(self, command):
            raise UnsupportedError(command, "mute", "it has no such command")

    read = asyncio.run(metrics.read(Mute(), spec()))  # type: ignore[arg-type]
    assert (read.cpu_threads, read.disks, read.interfaces) == ((), (), ())


def test_a_machine_that_is_gone():
    class Gone:
        pid = 2**22 + 5

    with pytest.raises(MachineError, match="has ended"):
        asyncio.run(metrics.read(Gone(), spec()))  # type: ignore[arg-type]


def test_an_answer_that_makes_no_sense(runtime_root):
    script = Script(answers={"query-blockstats": [{"stats": 5}]})
    with pytest.raises(MachineError, match="cannot understand the answer to query-blockstats"):
        live(script, runtime_root, lambda vm: vm.metrics())


def test_threads_that_are_gone_are_left_out():
    assert metrics.cpu_threads(os.getpid(), [{"cpu-index": 0, "thread-id": 1}]) == ()
    [here] = metrics.cpu_threads(os.getpid(), [{"cpu-index": 0, "thread-id": os.getpid()}])
    assert here == CpuThread(cpus=(0,), seconds=here.seconds)


def test_a_tap_device_counts_the_other_way_round(tmp_path):
    folder = tmp_path / "tap0" / "statistics"
    folder.mkdir(parents=True)
    for number, name in enumerate(("tx_bytes", "rx_bytes", "tx_packets", "rx_packets"), start=1):
        (folder / name).write_text(f"{number}\n")
    on_tap = spec(network=machine.Network.TAP, interface="tap0")
    assert metrics.interfaces(on_tap, tmp_path) == (
        InterfaceCounters(
            interface="tap0", received_bytes=1, sent_bytes=2, received_packets=3, sent_packets=4
        ),
    )
    (folder / "tx_bytes").unlink()
    assert metrics.interfaces(on_tap, tmp_path) == ()
    assert metrics.interfaces(spec(), tmp_path) == ()


def test_without_asyncio(runtime_root):
    options = machine.LaunchOptions(driver=FakeDriver(), runtime_root=runtime_root)
    with machine.launch(spec(), options) as vm:
        assert vm.metrics().cpu_s > 0

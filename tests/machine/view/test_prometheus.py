import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sampan.machine.view import prometheus
from sampan.machine.view.metrics import CpuThread, DiskCounters, InterfaceCounters, Metrics

DISK = DiskCounters(
    disk="disk0", read_bytes=4096, written_bytes=512, reads=2, writes=1, flushes=3,
    read_s=1.5, write_s=0.25, flush_s=0.5, errors=6,
)  # fmt: skip
INTERFACE = InterfaceCounters(
    interface="tap0", received_bytes=1, sent_bytes=2, received_packets=3, sent_packets=4
)


def counters(machine="web", **fields):
    return Metrics(
        machine=machine, uptime_s=12.5, cpus=2, cpu_s=3.25, memory_bytes=1 << 29,
        rss_bytes=1 << 28, **fields,
    )  # fmt: skip


def parsed(text):
    """What an independent parser reads: (name, labels) → value, and the kind of each family."""
    families = list(text_string_to_metric_families(text))
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    return samples, {family.name: family.type for family in families}


def test_the_text():
    lines = prometheus.render([counters()]).splitlines()
    assert lines[:3] == [
        "# HELP sampan_machine_uptime_seconds Time since the hypervisor started.",
        "# TYPE sampan_machine_uptime_seconds gauge",
        'sampan_machine_uptime_seconds{machine="web"} 12.5',
    ]
    assert 'sampan_machine_cpu_seconds_total{machine="web"} 3.25' in lines


def test_everything_is_there_to_an_independent_reader():
    full = counters(
        disks=(DISK,),
        interfaces=(INTERFACE,),
        cpu_threads=(CpuThread(cpus=(0, 1), seconds=2.0),),
    )
    samples, kinds = parsed(prometheus.render([full]))
    assert len(samples) == len(kinds) == len(prometheus.FAMILIES)
    assert samples[
        "sampan_machine_disk_read_bytes_total", (("disk", "disk0"), ("machine", "web"))
    ] == (4096)
    assert samples["sampan_machine_vcpu_seconds_total", (("cpus", "0,1"), ("machine", "web"))] == (
        2.0
    )
    assert kinds["sampan_machine_disk_errors"] == "counter"
    assert kinds["sampan_machine_cpus"] == "gauge"


def test_machines_stand_together_in_each_family():
    text = prometheus.render([counters("a"), counters("b", disks=(DISK,))])
    samples, _ = parsed(text)
    assert text.count("# TYPE sampan_machine_cpus gauge") == 1
    cpus = [labels for name, labels in samples if name == "sampan_machine_cpus"]
    assert cpus == [(("machine", "a"),), (("machine", "b"),)]


def test_families_without_samples_are_left_out():
    assert prometheus.render([]) == ""
    assert "disk" not in prometheus.render([counters()])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r")))
def test_any_name_survives(name):
    samples, _ = parsed(prometheus.render([counters(name)]))
    assert {labels for _, labels in samples} == {(("machine", name),)}


def test_names_follow_the_conventions():
    """prometheus.io, "Metric and label naming"."""
    for family in prometheus.FAMILIES:
        assert re.fullmatch("[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.help.endswith(".")
        assert not {"\\", "\n"} & set(family.help)

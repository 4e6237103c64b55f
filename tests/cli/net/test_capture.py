import json
import os
import threading

import pytest

from sampan.cli.net import capture
from sampan.net.link import pcapng
from sampan.net.runtime.view.sink import Rotation


def _packets(path):
    return [each for each in pcapng.read(path.read_bytes()) if isinstance(each, pcapng.Packet)]


def _until(condition):
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_in_the_background(sampan, network, machine, tmp_path):
    file = tmp_path / "a.pcapng"
    said = sampan("net", "capture", "--background", "-w", "a.pcapng", "--filter", "udp")
    assert said.out == f"capture 1 goes to {file}\n"
    assert sampan("net", "capture", "--ls").out.split() == [
        "ID", "FILE", "FILTER", "1", str(file), "udp",
    ]  # fmt: skip
    machine(b"seen")
    assert sampan("net", "capture", "--stop", "1") == (0, "", "")
    (packet,) = _packets(file)
    assert packet.data.endswith(b"seen")
    assert json.loads(json.dumps(sampan("net", "capture", "--ls", "--json").out)) == ""
    assert sampan("net", "capture", "--stop", "1").status == 1


def test_to_a_file_for_a_while(sampan, network, tmp_path):
    file = tmp_path / "b.pcapng"
    assert sampan("net", "capture", "-w", file, "--seconds", "0.2") == (0, "", "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert _packets(file) == []


def test_what_passes_meanwhile(sampan, network, machine, tmp_path):
    file = tmp_path / "c.pcapng"
    recording = network.controlled.recording

    def pass_by():
        _until(lambda: network.network.call(lambda _: bool(recording._captures)))
        machine(b"passed")
        network.network.call(lambda _: recording.close())

    thread = threading.Thread(target=pass_by)
    thread.start()
    assert sampan("net", "capture", "-w", file, "--snap-length", "40").status == 0
    thread.join(60)
    (packet,) = _packets(file)
    assert (len(packet.data), packet.length) == (40, 48)


def test_a_bad_filter_makes_no_file(sampan, network, tmp_path):
    said = sampan("net", "capture", "-w", "d.pcapng", "--filter", "prt 80")
    assert said.status == 2
    assert "prt 80\n    ^" in said.err
    assert not (tmp_path / "d.pcapng").exists()


@pytest.mark.parametrize(
    "words",
    [
        (), ("--background", "-w", "-"), ("--background", "-w", "x", "--seconds", "1"),
        ("-w", "x", "-W", "2"), ("-w", "x", "-C", "0"), ("-w", "x", "-C", "much"),
        ("-w", "x", "-G", "0"), ("-w", "-", "-C", "1"), ("--background", "-w", "x", "-W", "1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(sampan, network, words):
    assert sampan("net", "capture", *words).status == 2


def test_ctrl_c_is_the_end_of_a_file(tmp_path):
    whole = pcapng.section() + pcapng.interface("web")

    def pieces():
        yield whole[:5]
        yield whole[5:] + pcapng.packet(b"cut off", 1)[:-1]
        raise KeyboardInterrupt

    capture._copy(pieces(), tmp_path / "e", Rotation())
    assert (tmp_path / "e").read_bytes() == whole


def test_several_files(sampan, network, machine, tmp_path):
    words = ("net", "capture", "--background", "-w", "a.pcapng", "-C", "0.5K", "-W", "2")
    assert sampan(*words).status == 0
    for number in range(20):
        machine(b"%02d" % number * 100)
        network.network.call(lambda _: network.controlled.recording._flush())
    assert sampan("net", "capture", "--stop", "1").status == 0
    assert len(list(tmp_path.glob("a*"))) == 2
    assert [each.data[-2:] for each in _packets(tmp_path / "a-9.pcapng")] == [b"18", b"19"]


def test_into_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    capture._copy(iter([pcapng.section()]), tmp_path / "pipe", Rotation())
    reader.join(60)
    assert read == [pcapng.section()]


def test_standard_output(capfdbinary):
    capture._print(iter([b"a\0", b"b"]))
    assert capfdbinary.readouterr().out == b"a\0b"

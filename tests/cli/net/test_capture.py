import json
import threading
from pathlib import Path

import pytest

from sampan.cli.net import capture
from sampan.net.link import pcapng


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
    "words", [(), ("--background", "-w", "-"), ("--background", "-w", "x", "--seconds", "1")]
)
def test_what_makes_no_sense(sampan, network, words):
    assert sampan("net", "capture", *words).status == 2


def test_ctrl_c_is_the_end_of_a_file(tmp_path):
    def pieces():
        yield b"a"
        yield b"b"
        raise KeyboardInterrupt

    file = tmp_path / "e"
    capture._copy(pieces(), str(file))
    assert Path(file).read_bytes() == b"ab"


def test_standard_output(capfdbinary):
    capture._copy(iter([b"a\0", b"b"]), "-")
    assert capfdbinary.readouterr().out == b"a\0b"

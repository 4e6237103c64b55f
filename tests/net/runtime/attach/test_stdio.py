import os

import pytest

from sampan.net.link.stream import QEMU, VMNET
from sampan.net.runtime.attach import stdio


@pytest.mark.parametrize("framing", [VMNET, QEMU], ids=["vmnet", "qemu"])
def test_frames_on_the_standard_streams(engine, turns, monkeypatch, question, framing):
    to_us, from_machine = os.pipe()
    to_machine, from_us = os.pipe()
    monkeypatch.setattr(stdio, "_STDIN", to_us)
    monkeypatch.setattr(stdio, "_STDOUT", from_us)
    link = stdio.stdio_link() if framing is VMNET else stdio.stdio_link(framing)
    plug = engine.plug(link, name="stdio")
    os.write(from_machine, framing.encode(question))
    turns()
    (size,) = framing.length.unpack_from(os.read(to_machine, 1000))
    assert size == 42
    engine.unplug(plug)
    for fd in (from_machine, to_machine):
        os.close(fd)

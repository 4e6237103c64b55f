"""What SYNs offer, and what comes of it."""

import pytest

from sampan.net.core import handshake
from sampan.net.core.limit import Limits
from sampan.net.wire.tcp import Flag, Options, Segment


def answer(machine, options):
    """The flow after a SYN with these options, and the SYN-ACK."""
    segment = Segment(machine.guest.port, machine.remote.port, 5, 0, Flag.SYN, 1000, options)
    machine.packet(6, segment.emit(machine.guest.address, machine.remote.address))
    [opened] = machine.events()
    opened.flow.accept(machine.now)
    [segment] = machine.segments()
    return opened.flow, segment


def test_only_what_was_offered(machine):
    flow, segment = answer(machine, Options(mss=1460, window_shift=3))
    assert segment.options == Options(mss=1460, window_shift=5)
    assert flow.sender.shift == 3
    assert not flow.sack


def test_everything(make_machine):
    machine = make_machine(timestamps=True)
    offer = Options(mss=1460, window_shift=14, sack_permitted=True, timestamp=(77, 0))
    flow, segment = answer(machine, offer)
    assert segment.options.timestamp == (100_000, 77)
    assert segment.options.sack_permitted
    assert flow.sender.mss == 1448


@pytest.mark.parametrize(("offered", "mtu", "mss"), [(9000, 1500, 1460), (None, 1500, 536), (1200, 1500, 1200), (1, 1500, 88), (65495, 65520, 65480)])  # fmt: skip
def test_segment_size(make_machine, offered, mtu, mss):
    flow, segment = answer(make_machine(mtu=mtu), Options(mss=offered))
    assert flow.sender.mss == mss
    assert segment.options.mss == mtu - 40
    assert flow.sender.superframe <= handshake.MAX_PAYLOAD
    assert flow.sender.superframe % mss == 0


def test_segment_size_over_ipv6(make_machine6):
    machine = make_machine6()
    flow, segment = answer(machine, Options())
    assert flow.sender.mss == 1220
    assert segment.options.mss == 1440


def test_scale_is_clamped(machine):
    flow, _ = answer(machine, Options(window_shift=200))
    assert flow.sender.shift == 14


def test_our_own_syn_offers_everything(make_machine):
    machine = make_machine(timestamps=True, limits=Limits(receive_window=1 << 18))
    machine.arp()
    machine.stack.frames_to_send()
    machine.stack.open(machine.guest, machine.remote, machine.now)
    [segment] = machine.segments()
    assert segment.flags == Flag.SYN
    assert segment.options == Options(
        mss=1460, window_shift=3, sack_permitted=True, timestamp=(100_000, 0)
    )

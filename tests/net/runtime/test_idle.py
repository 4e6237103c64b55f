import pytest

from sampan.net.runtime.idle import IdleWatch
from sampan.net.wire.address import parse_ip


@pytest.fixture
def ended():
    return []


def watch(net, ended, seconds=10.0):
    return IdleWatch(net.engine, seconds, lambda: ended.append(net.now()))


def test_a_network_that_nobody_joins(net, ended):
    net.engine.unplug(net.machine.plug)
    watch(net, ended)
    net.advance(9.9)
    assert ended == []
    net.advance(0.2)
    assert len(ended) == 1


def test_one_that_the_last_machine_left(net, ended):
    watch(net, ended)
    other = net.add(parse_ip("192.168.65.9"))
    net.advance(60)
    net.engine.unplug(net.machine.plug)
    net.advance(60)
    assert ended == []
    net.engine.unplug(other.plug)
    net.advance(9)
    assert ended == []
    net.advance(2)
    assert len(ended) == 1


def test_a_machine_that_comes_in_time(net, ended):
    watch(net, ended)
    net.engine.unplug(net.machine.plug)
    net.advance(5)
    net.add(parse_ip("192.168.65.9"))
    net.advance(60)
    assert ended == []

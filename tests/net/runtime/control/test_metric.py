import re

from sampan.net.runtime.control import metric, model

LINE = re.compile(
    r"(# TYPE [a-z0-9_]+ (counter|gauge)|[a-z0-9_]+\{(\w+=\"[^\n]*\",?)+\} [0-9.]+)\n"
)


def _text(name="a", link="b"):
    stats = model.Stats(uptime_s=1.5, counters={"tcp.opened": 3}, gauges={"flows": 2})
    links = (model.LinkRecord(id=4, name=link, mtu=1500, sent=9, frames=1, dropped=2),)
    return metric.text(name, stats, links, 5)


def test_format():
    text = _text()
    assert "".join(found[0] for found in LINE.finditer(text)) == text


def test_values():
    lines = _text().splitlines()
    assert 'sampan_net_uptime_seconds{network="a"} 1.5' in lines
    assert 'sampan_net_forwards{network="a"} 5' in lines
    assert 'sampan_net_tcp_opened_total{network="a"} 3' in lines
    assert 'sampan_net_flows{network="a"} 2' in lines
    assert 'sampan_net_link_sent_bytes_total{network="a",link="b",id="4"} 9' in lines
    assert 'sampan_net_link_frames_dropped_total{network="a",link="b",id="4"} 2' in lines


def test_each_type_is_told_once():
    kinds = [line for line in _text().splitlines() if line.startswith("#")]
    assert len(kinds) == len(set(kinds))


def test_names_are_escaped():
    assert r'network="a\"\\\n"' in _text(name='a"\\\n')

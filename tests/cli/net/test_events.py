import json
import re

from sampan.cli.net.events import line
from sampan.net.runtime.control.model import EventRecord


def test_what_happened(sampan, network, machine):
    port = machine()
    (said,) = sampan("net", "events").out.splitlines()
    assert re.match(r" +1 \d\d:\d\d:\d\d flow\.opened +id=1 kind=udp link=web", said)
    event = json.loads(sampan("net", "events", "--json", "--kind", "flow").out)
    assert event["data"]["peer_port"] == port
    assert sampan("net", "events", "--after", "1").out == ""
    assert sampan("net", "events", "--kind", "lease").out == ""


def test_lines_show_what_is_known():
    event = EventRecord(
        number=7, time_s=0, kind="x",
        data={"a": "", "b": 0, "c": None, "d": [], "e": 1.23456, "f": ["g", "h"], "i": "j k",
              "l": "\x1b[2J"},
    )  # fmt: skip
    assert line(event).endswith(" x                e=1.23 f=g,h i='j k' l='\\x1b[2J'\n")


def test_a_machine_cannot_write_to_the_terminal():
    event = EventRecord(number=1, time_s=0, kind="dns", data={"name": "\x1b]0;gotcha\x07\n"})
    assert line(event).count("\n") == 1
    assert "\x1b" not in line(event)


def test_times_of_the_clock_can_be_read():
    event = EventRecord(number=1, time_s=2e9, kind="flow", data={"opened_s": 2e9, "age_s": 0.5})
    assert re.search(r"(\d\d:\d\d:\d\d) flow +opened_s=\1 age_s=0.5$", line(event))

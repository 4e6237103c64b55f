import textwrap

import pytest

from sampan.errors import UsageError
from sampan.net.hook import FlowInfo, Kind, Refuse
from sampan.net.runtime.view import hookfile

FLOW = FlowInfo(machine="192.168.65.3", protocol="tcp", address="192.0.2.1", port=80)


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return tmp_path / name

    return write


def test_hooks_are_found_in_their_order(write):
    path = write("""
        from dataclasses import dataclass
        from sampan.net.hook import Refuse, on_dns, on_flow

        @dataclass
        class Reason:
            text: str

        @on_flow
        def second(info):
            return Refuse(Reason(info.address).text)

        @on_dns
        def first(query):
            pass
    """)
    flow, dns = hookfile.load(path)
    assert (flow.kind, dns.kind) == (Kind.FLOW, Kind.DNS)
    assert flow(FLOW) == Refuse("192.0.2.1")
    assert flow.name == "sampan_hooks_mine.second"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\nraise ValueError('oh')\n", "mine.py:3: ValueError: oh"),
        ("import nowhere_at_all\n", "mine.py:1: ModuleNotFoundError"),
        ("def broken(:\n", "mine.py:1: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "mine.py:2: SystemExit: 3"),
        ("x = 1\n", "has no hooks"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write, text, message):
    path = write(text)
    with pytest.raises(UsageError) as caught:
        hookfile.load(path)
    assert message in str(caught.value)


def test_files_that_are_none(write, tmp_path):
    with pytest.raises(UsageError, match="is not a file"):
        hookfile.load(tmp_path / "nothing.py")
    with pytest.raises(UsageError, match="no Python file"):
        hookfile.load(write("", "hooks.txt"))


def test_a_file_that_became_bad_does_not_replace_the_good_one(write):
    path = write("from sampan.net.hook import on_flow\nhook = on_flow(lambda info: None)\n")
    [hook] = hookfile.load(path)
    path = write("raise ValueError\n\n")
    with pytest.raises(UsageError):
        hookfile.load(path)
    assert hook(FLOW) is None

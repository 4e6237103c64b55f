import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import SampanError, ToolMissingError, UnsupportedError, UsageError
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.supervise import protocol
from sampan.machine.supervise.protocol import Answer, Fault, Lines, Request

raws = st.sampled_from([msgspec.Raw(b"{}"), msgspec.Raw(b'{"a":[1,2]}'), msgspec.Raw(b"null")])
faults = st.builds(Fault, st.text(), st.text(), st.none() | st.text(), st.integers(0, 130))
answers = st.one_of(
    st.builds(Answer, st.integers(0, 9), item=raws),
    st.builds(Answer, st.integers(0, 9), result=raws, upgrade=st.booleans()),
    st.builds(Answer, st.integers(0, 9), error=faults),
)
requests = st.builds(Request, st.integers(0, 2**53), st.text(), raws)


def cut(data, sizes):
    """`data` in pieces."""
    lines, found = Lines(), []
    while data:
        size = next(sizes)
        lines.data_received(data[:size])
        data = data[size:]
        while (line := lines.next_line()) is not None:
            found.append(line)
    return found, lines.rest()


@settings(max_examples=60)
@given(st.lists(requests, max_size=3), st.lists(answers, max_size=3), st.integers(1, 40))
def test_what_is_emitted_is_parsed_whatever_the_pieces(asked, answered, size):
    data = b"".join(map(protocol.emit, [*asked, *answered])) + b"rest"
    lines, rest = cut(data, iter(lambda: size, 0))
    assert rest == b"rest"
    assert [protocol.parse_request(line) for line in lines[: len(asked)]] == asked
    assert [protocol.parse_answer(line) for line in lines[len(asked) :]] == answered


@given(st.binary(max_size=60))
def test_nonsense_is_an_error_of_the_peer(data):
    for parse in (protocol.parse_request, protocol.parse_answer):
        try:
            parse(data)
        except protocol.RemoteProtocolError:
            continue


@pytest.mark.parametrize("line", [b"", b"1", b"{}", b'{"id": "x", "method": "y"}', b"[" * 9999])
def test_what_is_no_message(line):
    with pytest.raises(protocol.RemoteProtocolError):
        protocol.parse_request(line)


def test_memory_is_bounded():
    lines = Lines()
    lines.data_received(b"x" * protocol.MAX_LINE_BYTES)
    assert lines.next_line() is None
    lines.data_received(b"x")
    with pytest.raises(protocol.RemoteProtocolError, match="more than 1024 KiB"):
        lines.next_line()


def test_what_could_not_be_read_is_not_sent():
    with pytest.raises(MachineError, match="cannot be sent"):
        protocol.emit(Request(1, "x" * protocol.MAX_LINE_BYTES))
    with pytest.raises(MachineError, match="is not UTF-8"):
        protocol.emit(Request(1, "\udcff"))


def test_fields_of_later_versions_are_passed_over():
    assert protocol.parse_answer(b'{"id": 1, "result": {}, "colour": 3}').id == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UsageError("a", hint="b"), UsageError),
        (ToolMissingError("a"), ToolMissingError),
        (MachineEndedError("a"), MachineEndedError),
        (protocol.UnknownMethodError("a"), protocol.UnknownMethodError),
        (UnsupportedError("disks", "fake", "no", instead="b"), MachineError),
        (SampanError("a"), MachineError),
    ],
)
def test_errors_travel(error, kind):
    arrived = protocol.error_of(protocol.fault_of(error))
    assert type(arrived) is kind
    assert (arrived.message, arrived.hint, arrived.exit_code) == (
        error.message, error.hint, error.exit_code,
    )  # fmt: skip

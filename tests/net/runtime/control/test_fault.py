import msgspec
import pytest

from sampan.errors import DocumentError, Problem, SampanError, UnsupportedError, UsageError
from sampan.net.runtime.control import fault, model
from sampan.net.runtime.forward.binding import BindError, PortTakenError
from sampan.net.runtime.forward.owner import Owner
from sampan.net.runtime.forward.table import NoSuchForwardError

CASES = [
    (UsageError("a", hint="b"), 400),
    (DocumentError([Problem("rules[0]", "a", hint="b")]), 400),
    (NoSuchForwardError("a"), 404),
    (fault.NotFoundError("a"), 404),
    (PortTakenError("a", owner=Owner(1, "init"), hint="b"), 409),
    (BindError("a"), 422),
    (UnsupportedError("a", "b", "c"), 501),
]


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda each: type(each).__name__)
def test_there_and_back(error, status):
    response = fault.response(error)
    assert response.status == status
    said = msgspec.json.decode(response.body, type=model.Failed).error
    again = fault.error_of(status, said)
    assert isinstance(again, SampanError)
    assert (again.message, again.hint) == (error.message, error.hint)
    assert again.exit_code == error.exit_code


def test_kinds_that_the_command_line_tells_apart():
    for error, status in CASES[:2]:
        assert type(fault.error_of(status, fault.fault(error))) is type(error)
    other = fault.error_of(409, fault.fault(CASES[4][0]))
    assert isinstance(other, fault.ControlError)
    assert other.status == 409


def test_owner_of_a_port_is_told():
    assert fault.fault(CASES[4][0]).owner == "init (process 1)"


def test_our_own_faults():
    response = fault.response(KeyError("secret"))
    assert response.status == 500
    assert b"KeyError" in response.body
    assert b"secret" not in response.body

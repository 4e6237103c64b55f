import pytest

from sampan.vhost.core.vsock_connection import Connection, State


@pytest.fixture
def connection():
    made = Connection(1024, 2374, State.OPEN, 4096)
    made.outflow.told(1000, 0)
    return made


def test_it_has_the_room_that_the_guest_allows(connection):
    assert connection.room == 1000
    connection.outflow.sent(400)
    assert connection.room == 600


def test_there_is_no_room_for_who_is_not_to_send(connection):
    connection.is_mute = True
    assert connection.room == 0


@pytest.mark.parametrize("state", [each for each in State if each is not State.OPEN])
def test_there_is_room_while_it_is_open_only(connection, state):
    connection.state = state
    assert connection.room == 0
    assert connection.is_over == (state is State.ENDED)

"""What a guest sends through vsock, and what clients of its host say."""

from sampan.vhost.core import vsock_greeting
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.vsock import MAX_REFUSALS, Switchboard
from sampan.vhost.core.vsock_event import Ended, Offered
from sampan.vhost.core.vsock_packet import HEADER_LENGTH, parse

LIMIT = 8


def one(data: bytes) -> None:
    """Packets, end to end; the host takes all connections."""
    board, alive = Switchboard(3, limit=LIMIT), set()
    alive.add(board.connect(1, 0.0))
    view = memoryview(data)
    for at in range(0, len(data), HEADER_LENGTH + 1):
        try:
            packet, _ = parse([view[at : at + HEADER_LENGTH], view[at + HEADER_LENGTH :]])
        except RemoteProtocolError:
            continue
        match board.packet_received(packet):
            case Offered(connection):
                alive.add(connection)
                board.accept(connection)
            case Ended(connection):
                alive.remove(connection)
                board.drained(connection)
            case _:
                pass
        assert len(alive) == len(board) <= LIMIT
        assert all(0 <= each.room < 1 << 32 for each in alive)
    count = 0
    while board.control_to_send() is not None:
        count += 1
    assert count <= len(data) + LIMIT + MAX_REFUSALS
    line, end, _ = data.partition(b"\n")
    vsock_greeting.read(line[-vsock_greeting.MAX_LENGTH :] + end)

"""Packets through rings, with a driver's eyes."""

import pytest

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.vsock_packet import HEADER_LENGTH, Op, Packet
from sampan.vhost.core.vsock_ring import PacketReader, PacketWriter

WRITE = 2
DATA = 0x10000


def packet(length=0, op=Op.RW):
    return Packet(3, 2, 1024, 80, length, 1, op)


@pytest.fixture
def reader(guest):
    return PacketReader(guest.ring())


@pytest.fixture
def writer(guest):
    return PacketWriter(guest.ring(writable=True))


def offer_room(guest, count, *pieces):
    for number in range(count):
        at = DATA + 0x2000 * number
        chain = [(at + 0x1000 * index, size) for index, size in enumerate(pieces)]
        guest.driver.offer(chain, flags=WRITE)


class TestReader:
    def test_data_stays_where_it_is_until_it_is_given_back(self, guest, reader):
        guest.driver.offer([guest.put(DATA, packet(5).emit()), guest.put(DATA + 64, b"hello")])
        guest.driver.offer([guest.put(DATA + 128, packet(0, Op.SHUTDOWN).emit())])
        [(first, data), (second, nothing)] = reader.read()
        assert (first.op, b"".join(data)) == (Op.RW, b"hello")
        assert (second.op, nothing) == (Op.SHUTDOWN, [])
        guest.put(DATA + 64, b"HELLO")
        assert b"".join(data) == b"HELLO"
        assert guest.driver.collect() == []
        reader.give_back()
        assert guest.driver.collect() == [(0, 0), (2, 0)]
        assert reader.silent == 2
        assert reader.must_notify()
        assert reader.silent == 0
        assert reader.read() == []

    def test_what_is_no_packet(self, guest, reader):
        guest.driver.offer([guest.put(DATA, b"short")])
        with pytest.raises(RemoteProtocolError, match="a packet of 5 bytes"):
            reader.read()


class TestWriter:
    @pytest.mark.parametrize("pieces", [(HEADER_LENGTH + 4096,), (HEADER_LENGTH, 4096)])
    def test_rooms_of_old_and_new_drivers(self, guest, writer, pieces):
        offer_room(guest, 3, *pieces)
        rooms = writer.rooms(2)
        assert [room.size for room in rooms] == [4096, 4096]
        rooms[0].header[:] = packet(3).emit()
        rooms[0].data[0][:3] = b"abc"
        writer.use(3)
        assert writer.rooms(9)[0] == rooms[1]
        assert writer.give_back()
        [(_, written)] = guest.driver.collect()
        assert written == HEADER_LENGTH + 3
        assert guest.get(DATA, HEADER_LENGTH) == packet(3).emit()
        assert not writer.give_back()

    def test_data_fills_rooms_one_after_another(self, guest, writer):
        offer_room(guest, 4, HEADER_LENGTH + 100)
        writer.rooms(4)
        made = list[int]()

        def header_of(size):
            made.append(size)
            return packet(size).emit()

        assert writer.fill(250, header_of) == 3
        assert made == [100, 50]
        assert writer.give_back()
        assert [written - HEADER_LENGTH for _, written in guest.driver.collect()] == [100, 100, 50]
        for number, size in enumerate((100, 100, 50)):
            assert guest.get(DATA + 0x2000 * number, HEADER_LENGTH) == packet(size).emit()
        assert len(writer.rooms(9)) == 1

    def test_without_room_it_asks_to_be_told(self, guest, writer):
        offer_room(guest, 1, 100)
        writer.rooms(1)
        writer.use(0)
        assert writer.rooms(5) == []
        assert guest.driver.kick_after == 1
        offer_room(guest, 1, 100)
        assert len(writer.rooms(5)) == 1

    def test_rooms_can_be_put_back(self, guest, writer):
        offer_room(guest, 3, 100)
        first = writer.rooms(1)
        writer.put_back()
        assert writer.rooms(1) == first

    @pytest.mark.parametrize("pieces", [(40, 4096), (HEADER_LENGTH,)])
    def test_what_is_no_room(self, guest, writer, pieces):
        offer_room(guest, 1, *pieces)
        with pytest.raises(RemoteProtocolError, match="a buffer"):
            writer.rooms(1)

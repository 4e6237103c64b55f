from sampan.guest.remote import socket_table
from sampan.guest.remote.place import Place

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
TCP = [
    HEAD,
    "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n",
    "   1: 0F02000A:D431 0100A8C0:01BB 01 00000000:00000000 00:00000000 00000000     0\n",
    "   2: zz:0050 00000000:0000 0A\n",
    "   3: 00:0050 00000000:0000 0A\n",
    "short\n",
]
TCP6 = [HEAD, "   0: 00000000000000000000000001000000:1F90 " + "0" * 32 + ":0000 0A x\n"]
UDP = [HEAD, "  25: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0\n"]


def test_tables():
    assert list(socket_table.parse("tcp", TCP)) == [("tcp", "127.0.0.1", 80)]
    assert list(socket_table.parse("tcp6", TCP6)) == [("tcp", "::1", 8080)]
    assert list(socket_table.parse("udp", UDP)) == [("udp", "0.0.0.0", 68)]


def test_those_of_this_computer():
    assert len(socket_table.read(Place(None))) <= socket_table.MOST


def test_a_kernel_without_some(tmp_path):
    class Elsewhere(Place):
        def network_table(self, name):
            path = tmp_path / name
            return str(path)

    (tmp_path / "tcp").write_text("".join(TCP))
    assert socket_table.read(Elsewhere()) == [("tcp", "127.0.0.1", 80)]

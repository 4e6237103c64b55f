import socket

from sampan.net.runtime.host.address import FRESH_S, OwnAddresses, own_addresses

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def test_the_host_has_its_loopback_address():
    assert bytes([127, 0, 0, 1]) in own_addresses()
    assert all(len(each) in (4, 16) for each in own_addresses())


def test_without_netlink_by_the_host_s_name(monkeypatch):
    monkeypatch.delattr(socket, "AF_NETLINK")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [
        (socket.AF_INET, 0, 0, "", ("10.0.0.1", 0)),
        (socket.AF_INET6, 0, 0, "", ("fe80::1%eth0", 0, 0, 2)),
    ])  # fmt: skip
    assert own_addresses() == {A, bytes.fromhex("fe80") + bytes(13) + b"\1"}


def test_they_are_looked_up_no_more_than_every_few_seconds():
    looks, now = [], [100.0]

    def look():
        looks.append(now[0])
        return frozenset({A} if len(looks) == 1 else {B})

    own = OwnAddresses(look, lambda: now[0])
    assert looks == []
    assert A in own
    assert B not in own
    now[0] += FRESH_S
    assert A not in own
    assert B in own
    assert looks == [100.0, 100.0 + FRESH_S]


def test_if_they_cannot_be_read_what_was_known_stays():
    now, answers = [0.0], [frozenset({A}), OSError("no memory")]

    def look():
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    own = OwnAddresses(look, lambda: now[0])
    assert A in own
    now[0] += FRESH_S
    assert A in own

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.net.services.lease import MAX_POOL, SHUN_S, Pool, Snapshot

A, B, C = (bytes([2, 0, 0, 0, 0, last]) for last in (1, 2, 3))


def ip(last: int) -> bytes:
    return bytes([192, 168, 65, last])


def pool(size: int = 4, **options) -> Pool:
    return Pool(ip(3), ip(2 + size), **options)


def test_addresses_are_given_from_the_lowest_on():
    pool_ = pool()
    first, second = pool_.offer(A, None, 0), pool_.offer(B, None, 0)
    assert first is not None
    assert second is not None
    assert (first.ip, second.ip) == (ip(3), ip(4))
    assert pool_.leases(0) == ()
    bound = pool_.bind(A, first.ip, 1, 100, name="web")
    assert bound is not None
    assert pool_.leases(1) == (bound,)
    assert (bound.expires_s, bound.name) == (101, "web")


def test_a_machine_gets_the_address_it_wants_and_keeps_it():
    pool_ = pool()
    offered = pool_.offer(A, ip(5), 0)
    assert offered is not None
    assert offered.ip == ip(5)
    assert pool_.bind(A, ip(5), 0, 10)
    again = pool_.offer(A, ip(3), 5)
    assert again is not None
    assert again.ip == ip(5)
    later = pool_.offer(A, None, 1000)
    assert later is not None
    assert later.ip == ip(5)


@pytest.mark.parametrize("wanted", [ip(2), ip(7), bytes(4), ip(4)])
def test_what_it_cannot_have(wanted):
    pool_ = pool(fixed={C: ip(4)})
    assert pool_.bind(A, wanted, 0, 10) is None
    offered = pool_.offer(A, wanted, 0)
    assert offered is not None
    assert offered.ip == ip(3)


def test_a_fixed_address_may_lie_outside_the_range_and_is_never_given_away():
    pool_ = pool(fixed={A: ip(200), B: ip(3)})
    for mac, expected in ((A, ip(200)), (B, ip(3)), (C, ip(4))):
        offered = pool_.offer(mac, ip(3), 0)
        assert offered is not None
        assert offered.ip == expected
    assert pool_.bind(A, ip(5), 0, 10) is None


def test_fixing_an_address_takes_it_from_who_has_it():
    pool_ = pool()
    assert pool_.bind(A, ip(3), 0, 100)
    pool_.fix(B, ip(3))
    assert pool_.find(A, 1) is None
    assert pool_.bind(A, ip(3), 1, 100) is None
    assert pool_.bind(B, ip(3), 1, 100)
    pool_.fix(B, ip(3))
    assert pool_.find(B, 2) is not None
    with pytest.raises(UsageError, match="fixed for another"):
        pool_.fix(C, ip(3))


def test_an_ended_lease_is_reused_only_when_nothing_else_is_left():
    pool_ = pool(2)
    assert pool_.bind(A, ip(3), 0, 10)
    assert pool_.bind(B, ip(4), 0, 20)
    assert pool_.offer(C, None, 5) is None
    offered = pool_.offer(C, None, 30)
    assert offered is not None
    assert offered.ip == ip(3)
    kept = pool_.offer(B, None, 31)
    assert kept is not None
    assert kept.ip == ip(4)
    assert pool_.offer(A, None, 32) is None


def test_release_ends_a_lease_but_remembers_it():
    pool_ = pool()
    assert pool_.bind(A, ip(3), 0, 100)
    assert pool_.release(A, ip(4), 1) is None
    assert pool_.release(A, ip(3), 1) is not None
    assert pool_.release(A, ip(3), 2) is None
    assert pool_.leases(2) == ()
    other, own = pool_.offer(B, None, 3), pool_.offer(A, None, 3)
    assert other is not None
    assert own is not None
    assert (other.ip, own.ip) == (ip(4), ip(3))


def test_a_declined_address_is_shunned_for_a_while():
    pool_ = pool(8)
    assert pool_.bind(A, ip(3), 0, 100)
    assert not pool_.decline(B, ip(3), 0)
    assert pool_.decline(A, ip(3), 0)
    assert pool_.bind(B, ip(3), 1, 100) is None
    assert pool_.bind(B, ip(3), SHUN_S + 1, 100)


def test_declining_cannot_empty_the_pool():
    pool_ = pool(8)
    for _ in range(50):
        offered = pool_.offer(A, None, 0)
        assert offered is not None
        assert pool_.decline(A, offered.ip, 0)


def test_one_owner_cannot_take_all():
    pool_ = pool(8, per_owner=3)
    taken = [pool_.offer(bytes([2, 0, 0, 0, 1, n]), None, 0, owner=1) for n in range(8)]
    assert sum(each is not None for each in taken) == 3
    assert pool_.offer(A, None, 0, owner=2) is not None


def test_the_next_timer_is_the_next_end():
    pool_ = pool()
    assert pool_.next_timer(0) is None
    assert pool_.bind(A, ip(3), 0, 50)
    assert pool_.bind(B, ip(4), 0, 20)
    assert pool_.next_timer(1) == 20
    assert pool_.next_timer(20) == 50


def test_a_snapshot_survives_a_restart_of_the_clock():
    pool_ = pool()
    assert pool_.bind(A, ip(5), 1000, 100, name="a")
    assert pool_.bind(B, ip(6), 1000, 10)
    assert pool_.offer(C, None, 1000)
    data = msgspec.json.encode(pool_.snapshot(1050))
    again = pool()
    again.restore(msgspec.json.decode(data, type=Snapshot), 0)
    [lease] = again.leases(0)
    assert (lease.mac, lease.ip, lease.expires_s, lease.name) == (A, ip(5), 50, "a")
    remembered = again.offer(B, None, 1)
    assert remembered is not None
    assert remembered.ip == ip(6)


def test_a_snapshot_of_another_network_is_left_out():
    pool_ = pool()
    assert pool_.bind(A, ip(3), 0, 100)
    other = Pool(bytes([10, 0, 0, 3]), bytes([10, 0, 0, 9]))
    other.restore(pool_.snapshot(0), 0)
    assert other.leases(0) == ()


@pytest.mark.parametrize(
    ("first", "last"), [(ip(4), ip(3)), (bytes(4), MAX_POOL.to_bytes(4, "big"))]
)
def test_a_range_that_makes_no_sense(first, last):
    with pytest.raises(UsageError, match="empty or too large"):
        Pool(first, last)


def test_one_address_for_two():
    with pytest.raises(UsageError, match="two machines"):
        pool(fixed={A: ip(9), B: ip(9)})


steps = st.lists(
    st.tuples(
        st.sampled_from(["offer", "bind", "release", "decline"]),
        st.integers(0, 5),
        st.integers(2, 8),
        st.integers(0, 300),
    ),
    max_size=40,
)


@given(steps)
def test_no_address_ever_has_two_holders(conversation):
    pool_ = pool(4, fixed={A: ip(3)})
    now = 0.0
    for verb, who, last, passed in conversation:
        now += passed
        mac = bytes([2, 0, 0, 0, 0, who])
        if verb == "offer":
            pool_.offer(mac, ip(last), now)
        elif verb == "bind":
            pool_.bind(mac, ip(last), now, 200)
        elif verb == "release":
            pool_.release(mac, ip(last), now)
        else:
            pool_.decline(mac, ip(last), now)
        held = [each.ip for n in range(6) if (each := pool_.find(bytes([2, 0, 0, 0, 0, n]), now))]
        assert len(set(held)) == len(held)
        assert all(3 <= each[3] <= 6 for each in held)
        assert all(each.ip != ip(3) or each.mac == A for each in pool_.leases(now))


def test_an_owner_leaves():
    pool_ = pool(per_owner=2)
    bound = pool_.bind(A, ip(3), 0, 100, owner=1)
    pool_.offer(B, None, 0, owner=1)
    other = pool_.bind(C, ip(5), 0, 100, owner=2)
    assert pool_.offer(b"\2\0\0\0\0\7", None, 0, owner=1) is None
    assert pool_.leave(1, 5) == (bound,)
    assert pool_.leases(5) == (other,)
    assert pool_.offer(b"\2\0\0\0\0\7", None, 5, owner=1).ip == ip(6)
    assert pool_.offer(A, None, 5, owner=1).ip == ip(3)


def test_fixed_addresses_are_told():
    pool_ = pool(fixed={A: ip(9)})
    pool_.fix(B, ip(4))
    assert pool_.fixed == {A: ip(9), B: ip(4)}


def test_addresses_in_use_by_others_are_left_to_them():
    pool_ = pool()
    pool_.in_use = lambda address, mac, now: address == ip(3) and mac != B
    assert pool_.offer(A, ip(3), 0).ip == ip(4)
    assert pool_.bind(A, ip(3), 0, 10) is None
    assert pool_.offer(B, ip(3), 0).ip == ip(3)


def test_an_address_kept_for_a_machine_that_will_come():
    pool_ = pool(2)
    assert pool_.reserve(A, 0) == ip(3)
    assert pool_.reserve(A, 0) == ip(3)
    assert pool_.bind(B, ip(3), 0, 10) is None
    assert pool_.bind(B, ip(4), 0, 10) is not None
    assert pool_.reserve(C, 0) is None
    assert pool_.reserve(B, 0) == ip(4)
    assert pool_.fixed == {A: ip(3), B: ip(4)}


def test_what_was_fixed_can_be_taken_back():
    pool_ = pool(1, fixed={A: ip(3)})
    assert pool_.bind(A, ip(3), 0, 10) is not None
    assert pool_.unfix(A)
    assert not pool_.unfix(A)
    assert [each.mac for each in pool_.leases(5)] == [A]
    assert pool_.bind(B, ip(3), 5, 10) is None
    assert pool_.bind(B, ip(3), 11, 10) is not None

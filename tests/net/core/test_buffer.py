from sampan.net.core.buffer import CAPACITY, HEADROOM, Account, Pool, SendBuffer


def test_payload_lies_behind_the_headroom():
    buffer = SendBuffer()
    buffer.payload[:3] = b"abc"
    assert buffer.data[HEADROOM : HEADROOM + 3] == b"abc"
    assert len(buffer.payload) == CAPACITY


def spare(pool: Pool) -> SendBuffer:
    buffer = pool.spare()
    assert buffer is not None
    return buffer


def test_spare_is_the_same_until_it_is_kept():
    pool = Pool(2)
    first = spare(pool)
    assert pool.spare() is first
    pool.keep(first)
    second = spare(pool)
    assert second is not first
    pool.keep(second)
    assert pool.is_empty
    assert pool.spare() is None
    pool.give_back(first)
    assert pool.spare() is first


def test_kept_out_of_turn():
    pool = Pool(3)
    first = spare(pool)
    pool.free.append(SendBuffer())
    pool.keep(first)
    assert first not in pool.free
    assert pool.lent == 1


def test_what_is_given_up_may_be_made_anew():
    pool = Pool(1)
    pool.keep(spare(pool))
    pool.forget()
    assert pool.spare() is not None


def test_trim_leaves_one():
    pool = Pool(5)
    pool.free = [SendBuffer() for _ in range(4)]
    pool.trim()
    assert len(pool.free) == 1


def test_account():
    account = Account(10)
    account.held = 7
    assert account.has_room(3)
    assert not account.has_room(4)

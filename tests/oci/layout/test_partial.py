import threading

import pytest

from sampan.oci.digest import Digest, DigestMismatchError

DATA = b"0123456789" * 1000
DIGEST = Digest.of(DATA)


def test_a_download_goes_on_where_it_stopped(cache):
    with cache.partial(DIGEST) as slot:
        assert (slot.size, slot.done) == (0, False)
        slot.append(DATA[:4000])
    assert not cache.has_blob(DIGEST)
    with cache.partial(DIGEST) as slot:
        assert slot.size == 4000
        slot.append(DATA[4000:])
        assert slot.commit() == DIGEST
    assert cache.read_blob(DIGEST) == DATA
    with cache.partial(DIGEST) as slot:
        assert slot.done
    assert list((cache.root / "partial").iterdir()) == []
    assert cache.read_blob(DIGEST) == DATA


def test_wrong_bytes_are_dropped(cache):
    with cache.partial(DIGEST) as slot:
        slot.append(b"wrong")
        with pytest.raises(DigestMismatchError, match="a download is damaged"):
            slot.commit()
        assert slot.size == 0
        slot.append(DATA)
        slot.commit()
    assert cache.read_blob(DIGEST) == DATA


def test_a_sender_may_begin_again(cache):
    with cache.partial(DIGEST) as slot:
        slot.append(DATA[:10])
        slot.reset()
        slot.append(DATA)
        slot.commit()
    assert cache.read_blob(DIGEST) == DATA


def test_the_second_of_two_finds_it_done(cache):
    entered, seen = threading.Event(), []

    def second():
        entered.wait()
        with cache.partial(DIGEST) as slot:
            seen.append((slot.done, slot.size))

    thread = threading.Thread(target=second)
    thread.start()
    with cache.partial(DIGEST) as slot:
        entered.set()
        slot.append(DATA)
        slot.commit()
    thread.join()
    assert seen == [(True, 0)]
    assert cache.read_blob(DIGEST) == DATA

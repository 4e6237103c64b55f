import pytest

from sampan.net.services.dnscache import MAX_NEGATIVE_S, MAX_POSITIVE_S, Cache, Key, lifetime
from sampan.net.wire.dns import Message, Question, Record, Type, emit_name, parse_name

NAME = parse_name("www.example.com")
KEY = Key(NAME, Type.A)


def record(ttl_s: int, kind: int = Type.A, data: bytes = bytes(4)) -> Record:
    return Record(NAME, kind, ttl_s, data)


def soa(ttl_s: int, minimum: int) -> Record:
    numbers = b"".join(number.to_bytes(4, "big") for number in (1, 2, 3, 4, minimum))
    return record(ttl_s, Type.SOA, emit_name(NAME) * 2 + numbers)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        (Message(1, answers=(record(60), record(30))), 30),
        (Message(1, answers=(record(10**6),)), MAX_POSITIVE_S),
        (Message(1, answers=(record(1 << 31),)), 0),
        (Message(1, answers=(record(60),), truncated=True), 0),
        (Message(1, answers=(record(60),), code=2), 0),
        (Message(1), 0),
        (Message(1, code=3), 0),
        (Message(1, code=3, authorities=(soa(60, 20),)), 20),
        (Message(1, code=3, authorities=(soa(10, 20),)), 10),
        (Message(1, authorities=(soa(10**6, 10**6),)), MAX_NEGATIVE_S),
        (Message(1, authorities=(record(9, Type.SOA, b"short"),)), 0),
        (Message(1, answers=(record(50, Type.CNAME),), authorities=(soa(60, 20),)), 20),
        (Message(1, answers=(record(50, Type.CNAME),)), 0),
    ],
)
def test_how_long_an_answer_lives(message, seconds):
    assert lifetime(KEY, message) == seconds


def test_a_question_for_anything_takes_any_answer():
    assert lifetime(Key(NAME, Type.ANY), Message(1, answers=(record(50, Type.MX),))) == 50
    assert lifetime(Key(NAME, Type.MX), Message(1, answers=(record(50, Type.MX),))) == 50


def test_times_are_counted_down():
    cache = Cache()
    cache.put(KEY, Message(1, answers=(record(60),), additional=(record(20),)), 100)
    found = cache.get(KEY, 130.9)
    assert found is not None
    assert (found.answers[0].ttl_s, found.additional[0].ttl_s) == (30, 0)
    assert cache.get(KEY, 160) is None
    assert len(cache) == 0


def test_keys_fold_names_and_tell_types_apart():
    assert Key.of(Question(parse_name("WWW.Example.COM"), Type.A)) == KEY
    assert Key.of(Question(NAME, Type.AAAA)) != KEY
    assert Key.of(Question(NAME, Type.A), signed=True) != KEY


def test_the_least_used_goes_first():
    cache = Cache(max_entries=2)
    keys = [Key((b"%d" % n,), Type.A) for n in range(3)]
    for key in keys[:2]:
        cache.put(key, Message(1, answers=(record(60),)), 0)
    assert cache.get(keys[0], 1)
    cache.put(keys[2], Message(1, answers=(record(60),)), 1)
    assert [cache.get(key, 1) is not None for key in keys] == [True, False, True]


def test_bytes_are_bounded():
    cache = Cache(max_bytes=16_000)
    for n in range(100):
        message = Message(1, answers=(record(60, Type.TXT, bytes(500)), record(60)))
        cache.put(Key((b"%d" % n,), Type.A), message, 0)
    assert 10 < len(cache) < 30
    cache.put(KEY, Message(1, answers=(record(60, Type.TXT, bytes(2000)), record(60))), 0)
    assert cache.get(KEY, 0) is None


def test_it_can_be_emptied_and_an_answer_replaced():
    cache = Cache()
    cache.put(KEY, Message(1, answers=(record(60),)), 0)
    cache.put(KEY, Message(1, answers=(record(60), record(60))), 0)
    found = cache.get(KEY, 0)
    assert found is not None
    assert len(found.answers) == 2
    cache.clear()
    assert cache.get(KEY, 0) is None

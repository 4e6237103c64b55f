from sampan.net.services.alias import GRACE_S, MAX_ADDRESSES, MAX_NAMES, Aliases
from sampan.net.wire.dns import Message, Question, Record, Type, emit_name, parse_name

ME, OTHER = bytes([192, 168, 65, 3]), bytes([192, 168, 65, 4])
THERE = bytes([1, 2, 3, 4])


def told(
    aliases: Aliases, name: str, address: bytes = THERE, *, ttl_s: int = 60, now: float = 0
) -> None:
    question = parse_name(name)
    kind = Type.A if len(address) == 4 else Type.AAAA
    answer = Message(1, answers=(Record(question, kind, ttl_s, address),))
    aliases.learn(ME, Question(question, kind), answer, now)


def test_a_machine_knows_the_names_it_was_told():
    aliases = Aliases()
    told(aliases, "WWW.example.com")
    assert aliases.names(ME, THERE, 1) == ("www.example.com",)
    assert aliases.names(OTHER, THERE, 1) == ()
    assert aliases.names(ME, OTHER, 1) == ()
    told(aliases, "six.example.com", bytes(16))
    assert aliases.names(ME, bytes(16), 1) == ("six.example.com",)


def test_a_chain_of_names():
    aliases = Aliases()
    first, last = parse_name("www.example.com"), parse_name("cdn.example.net")
    records = (
        Record(first, Type.CNAME, 60, emit_name(last)),
        Record(last, Type.A, 60, THERE),
        Record(last, Type.A, 60, b"odd"),
    )
    aliases.learn(ME, Question(first, Type.A), Message(1, answers=records), 0)
    assert aliases.names(ME, THERE, 1) == ("www.example.com", "cdn.example.net")


def test_the_latest_name_comes_first_and_all_end():
    aliases = Aliases()
    told(aliases, "a.example")
    told(aliases, "b.example", now=100)
    assert aliases.names(ME, THERE, 101) == ("b.example", "a.example")
    told(aliases, "a.example", now=200)
    assert aliases.names(ME, THERE, 201) == ("a.example", "b.example")
    assert aliases.names(ME, THERE, 100 + 60 + GRACE_S) == ("a.example",)
    assert aliases.names(ME, THERE, 200 + 60 + GRACE_S) == ()


def test_memory_is_bounded():
    aliases = Aliases()
    for n in range(50):
        told(aliases, f"n{n}.example")
    assert len(aliases.names(ME, THERE, 1)) == MAX_NAMES
    for n in range(MAX_ADDRESSES):
        told(aliases, "x.example", n.to_bytes(4, "big"))
    assert aliases.names(ME, THERE, 1) == ()


def test_a_machine_that_is_gone():
    aliases = Aliases()
    told(aliases, "a.example")
    aliases.forget(ME)
    aliases.forget(ME)
    assert aliases.names(ME, THERE, 1) == ()


def test_an_answer_about_the_root_teaches_nothing():
    aliases = Aliases()
    aliases.learn(ME, Question((), Type.A), Message(1), 0)
    assert aliases.names(ME, THERE, 1) == ()


def test_machines_that_are_gone_are_forgotten_together():
    aliases = Aliases()
    told(aliases, "a.example")
    aliases.keep(lambda machine: machine == ME)
    assert len(aliases) == 1
    aliases.keep(lambda machine: machine == OTHER)
    assert len(aliases) == 0


def test_a_machine_has_several_addresses():
    aliases = Aliases(lambda address: b"mac" if address in (ME, OTHER) else address)
    told(aliases, "a.example")
    assert aliases.names(OTHER, THERE, 1) == ("a.example",)
    assert aliases.names(THERE, THERE, 1) == ()
    aliases.keep(lambda machine: machine == b"mac")
    assert len(aliases) == 1
    aliases.forget(OTHER)
    assert aliases.names(ME, THERE, 1) == ()

from dataclasses import replace

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services import dnsanswer
from sampan.net.services.dns import (
    MAX_DELAYED,
    MAX_PENDING,
    MAX_WAITERS,
    Forwarder,
)
from sampan.net.services.dnsmodel import Client, Close, Config, Reply, SendQuery, Split, Verdict
from sampan.net.services.dnsshare import MAX_EXCHANGES_OF_ONE
from sampan.net.services.hosts import Book
from sampan.net.services.resolver import Resolver, Server
from sampan.net.wire.dns import Message, Record, Type, parse_name

ONE, TWO, VPN = Server("10.0.0.1"), Server("10.0.0.2", 5353), Server("172.16.0.1")
GUEST = Client(bytes([192, 168, 65, 3]), 40000)
BOTH = Resolver(servers=(ONE, TWO))
WWW = "www.example.com. 300 A 1.2.3.4"
SOA = "example.com. 60 SOA ns.example.com. me.example.com. 1 2 3 4 30"


def rcode(record):
    return dnslib.RCODE[record.header.rcode]


def test_all_servers_are_asked_and_the_first_answer_wins(play):
    first, second = play.ask("www.example.com")
    assert (first.server, second.server) == (ONE, TWO)
    assert not first.over_tcp
    asked = dnslib.DNSRecord.parse(first.data)
    assert (str(asked.q.qname), asked.header.id, asked.header.rd) == ("www.example.com.", 100, 1)
    assert dnslib.DNSRecord.parse(second.data).header.id == 101
    actions = play.answer(second, WWW)
    reply = play.reply(actions)
    assert (reply.header.id, reply.header.qr, reply.header.ra, rcode(reply)) == (7, 1, 1, "NOERROR")
    assert str(reply.a.rdata) == "1.2.3.4"
    assert play.closed(actions) == {first.exchange, second.exchange}
    assert play.dns.next_timer() is None
    [event] = play.dns.events()
    assert (event.client, event.via) == (GUEST, "10.0.0.2")
    assert play.answer(first, WWW) == []


def test_a_cached_answer_ages_and_ends(play):
    play.answer(play.ask("www.example.com")[0], WWW)
    play.now += 100
    reply = play.reply(play.ask("WWW.Example.com", ident=9))
    assert (reply.header.id, reply.a.ttl, str(reply.q.qname)) == (9, 200, "WWW.Example.com.")
    play.now += 200
    assert len(play.sent(play.ask("www.example.com"))) == 2


def test_no_such_name_is_an_answer_and_is_cached_as_its_soa_says(play):
    reply = play.reply(play.answer(play.ask("no.example.com")[0], rcode=3, auth=SOA))
    assert rcode(reply) == "NXDOMAIN"
    play.now += 29
    assert rcode(play.reply(play.ask("no.example.com"))) == "NXDOMAIN"
    play.now += 1
    assert len(play.sent(play.ask("no.example.com"))) == 2


def test_cnames_are_kept(play):
    zone = "www.example.com. 60 CNAME cdn.example.net.\ncdn.example.net. 5 A 1.2.3.4"
    reply = play.reply(play.answer(play.ask("www.example.com")[0], zone))
    assert [str(each.rdata) for each in reply.rr] == ["cdn.example.net.", "1.2.3.4"]


def test_a_failing_server_leaves_it_to_the_others(play):
    first, second = play.ask("www.example.com")
    assert play.answer(first, rcode=2) == [Close(first.exchange)]
    assert rcode(play.reply(play.answer(second, WWW))) == "NOERROR"


def test_when_all_fail_the_first_failure_is_the_answer(play):
    first, second = play.ask("www.example.com")
    play.answer(first, rcode=5)
    assert rcode(play.reply(play.answer(second, rcode=2))) == "REFUSED"
    first, second = play.ask("www.example.com")
    play.dns.query_failed(first.exchange)
    play.dns.query_failed(second.exchange)
    play.dns.query_failed(second.exchange)
    assert rcode(play.reply(play.dns.actions())) == "SERVFAIL"


def test_silence_is_asked_again_and_then_a_failure(play):
    first, second = play.ask("www.example.com")
    play.dns.query_failed(first.exchange)
    assert play.dns.actions() == [Close(first.exchange)]
    assert play.dns.next_timer() == 1002
    again = play.sent(play.tick())
    assert [each.server for each in again] == [ONE, TWO]
    assert again[1] == second
    assert again[0].exchange != first.exchange
    actions = play.tick()
    assert play.now == 1004
    assert rcode(play.reply(actions)) == "SERVFAIL"
    assert play.closed(actions) == {again[0].exchange, second.exchange}


def test_a_truncated_answer_is_asked_for_again_over_tcp(play):
    first, second = play.ask("www.example.com")
    actions = play.answer(first, tc=1)
    [again] = play.sent(actions)
    assert (again.server, again.over_tcp) == (ONE, True)
    assert play.closed(actions) == {first.exchange}
    assert str(play.reply(play.answer(again, WWW)).a.rdata) == "1.2.3.4"
    assert second.exchange not in play.closed(play.dns.actions())


def test_a_truncated_answer_need_not_repeat_the_question(play):
    first, _ = play.ask("www.example.com")
    [again] = play.sent(play.answer(first, tc=1, bare=True))
    assert again.over_tcp
    assert play.sent(play.answer(again, tc=1, bare=True)) == []  # over TCP it must be whole
    assert str(play.reply(play.answer(again, WWW)).a.rdata) == "1.2.3.4"


def test_a_server_without_tcp_still_has_its_short_answer(play):
    first, second = play.ask("www.example.com")
    [again] = play.sent(play.answer(first, WWW, tc=1))
    play.dns.query_failed(again.exchange)
    play.dns.actions()
    play.dns.query_failed(second.exchange)
    reply = play.reply(play.dns.actions())
    assert (reply.header.tc, str(reply.a.rdata)) == (1, "1.2.3.4")
    assert len(play.sent(play.ask("www.example.com"))) == 2


def test_one_that_is_asked_over_tcp_is_not_asked_again(play):
    first, second = play.ask("www.example.com")
    play.answer(first, tc=1)
    assert [each.server for each in play.sent(play.tick())] == [second.server]


def test_a_configuration_that_wants_tcp(make_play):
    play = make_play(Config(resolver=Resolver(servers=(ONE,), use_tcp=True)))
    [sent] = play.ask("www.example.com")
    assert sent.over_tcp


MANY = "\n".join(f"www.example.com. 60 A 10.0.0.{n}" for n in range(60))


def test_an_answer_that_does_not_fit_is_cut_for_udp_only(play):
    [first, _] = play.ask("www.example.com")
    cut = play.answer(first, MANY)
    [data] = [each.data for each in cut if isinstance(each, Reply)]
    reply = play.reply(cut)
    assert len(data) <= 512
    assert reply.header.tc == 1
    assert 5 < len(reply.rr) < 60
    tcp = Client(GUEST.address, 40001, over_tcp=True)
    whole = play.reply(play.ask("www.example.com", client=tcp))
    assert (whole.header.tc, len(whole.rr)) == (0, 60)
    large = play.reply(play.ask("www.example.com", edns=4096))
    assert (large.header.tc, len(large.rr)) == (0, 60)
    assert [dnslib.QTYPE[each.rtype] for each in large.ar] == ["OPT"]


def test_edns_is_asked_with_only_for_those_who_have_it(play):
    plain = dnslib.DNSRecord.parse(play.ask("a.example.com")[0].data)
    assert plain.ar == []
    [option] = dnslib.DNSRecord.parse(play.ask("b.example.com", edns=4096)[0].data).ar
    assert option.edns_len == 1232


def test_names_of_ours_are_answered_here(play):
    reply = play.reply(play.ask("web.sampan.internal"))
    assert (str(reply.a.rdata), reply.header.aa) == ("192.168.65.3", 1)
    empty = play.reply(play.ask("web.sampan.internal", "AAAA"))
    assert (rcode(empty), empty.rr) == ("NOERROR", [])
    assert rcode(play.reply(play.ask("nobody.sampan.internal"))) == "NXDOMAIN"
    pointer = play.reply(play.ask("3.65.168.192.in-addr.arpa", "PTR"))
    assert str(pointer.a.rdata) == "web.sampan.internal."
    assert rcode(play.reply(play.ask("9.65.168.192.in-addr.arpa", "PTR"))) == "NXDOMAIN"
    assert len(play.sent(play.ask("1.1.1.1.in-addr.arpa", "PTR"))) == 2
    assert {event.via for event in play.dns.events()} == {"local"}


def test_split_domains_go_to_their_servers_the_longest_first(make_play):
    splits = (Split("corp", (VPN,)), Split("lab.corp", (TWO,)))
    play = make_play(Config(resolver=BOTH, splits=splits))
    for name, servers in (
        ("x.corp", [VPN]),
        ("corp", [VPN]),
        ("x.LAB.corp", [TWO]),
        ("xcorp", [ONE, TWO]),
    ):
        assert [each.server for each in play.sent(play.ask(name))] == servers


def test_without_servers_there_is_an_honest_failure(make_play):
    assert rcode(make_play.reply(make_play(Config()).ask("www.example.com"))) == "SERVFAIL"


def test_the_same_question_is_asked_once(play):
    first, _ = play.ask("www.example.com")
    other = Client(bytes([192, 168, 65, 4]), 40000)
    assert play.ask("www.example.com", client=other, ident=8) == []
    assert play.ask("www.example.com") == []
    replies = [each for each in play.answer(first, WWW) if isinstance(each, Reply)]
    assert [(each.client, each.data[:2]) for each in replies] == [
        (GUEST, b"\0\x07"),
        (other, b"\0\x08"),
    ]


def test_a_new_configuration_asks_open_questions_anew(play):
    play.answer(play.ask("cached.example.com")[0], "cached.example.com. 300 A 1.1.1.1")
    first, second = play.ask("www.example.com")
    play.dns.replace(Config(resolver=Resolver(servers=(VPN,))), play.now)
    actions = play.dns.actions()
    assert play.closed(actions) == {first.exchange, second.exchange}
    [sent] = play.sent(actions)
    assert sent.server == VPN
    assert str(play.reply(play.answer(sent, WWW)).a.rdata) == "1.2.3.4"
    assert [each.server for each in play.sent(play.ask("cached.example.com"))] == [VPN]


def forged(sent, *, ident=None, name="www.example.com", response=1):
    record = dnslib.DNSRecord.question(name).reply()
    record.header.id = dnslib.DNSRecord.parse(sent.data).header.id if ident is None else ident
    record.header.qr = response
    record.add_answer(*dnslib.RR.fromZone(f"{name}. 60 A 6.6.6.6"))
    return record.pack()


def test_forged_answers_are_passed_over(play):
    first, second = play.ask("www.example.com")
    for exchange, data, server in (
        (first.exchange, forged(first), TWO),
        (second.exchange, forged(first), TWO),
        (first.exchange, forged(first, ident=9), ONE),
        (first.exchange, forged(first, name="evil.example.com"), ONE),
        (first.exchange, forged(first, response=0), ONE),
        (first.exchange, b"noise", ONE),
        (first.exchange, first.data[:2] + b"\x80" + bytes(9), ONE),
        (999, forged(first), ONE),
    ):
        play.dns.answer_received(exchange, data, server, play.now)
        assert play.dns.actions() == []
    assert str(play.reply(play.answer(first, WWW)).a.rdata) == "1.2.3.4"


def test_a_failure_need_not_repeat_the_question(play):
    first, _ = play.ask("www.example.com")
    play.dns.answer_received(first.exchange, first.data[:2] + b"\x80\x01" + bytes(8), ONE, 0)
    assert play.dns.actions() == [Close(first.exchange)]


def query(**header):
    record = dnslib.DNSRecord.question("www.example.com")
    for name, value in header.items():
        setattr(record.header, name, value)
    return record


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (query(opcode=4).pack(), "NOTIMP"),
        (query(id=3).pack()[:20], "FORMERR"),
        (b"\0\3\1\0" + bytes(8), "FORMERR"),
        (dnslib.DNSRecord.question("x", "AXFR").pack(), "REFUSED"),
        (dnslib.DNSRecord(q=dnslib.DNSQuestion("x", 1, 3)).pack(), "REFUSED"),
    ],
    ids=["opcode", "cut", "no question", "transfer", "chaos"],
)
def test_what_is_no_question_is_refused(play, data, code):
    play.dns.query_received(data, GUEST, 0)
    assert rcode(play.reply(play.dns.actions())) == code


@pytest.mark.parametrize("data", [b"", b"\0" * 11, query(qr=1).pack(), b"\0\0\x80\0" + b"\xff" * 9])
def test_what_is_not_answered_at_all(play, data):
    play.dns.query_received(data, GUEST, 0)
    assert play.dns.actions() == []


REFUSED = Verdict(answer=dnsanswer.failure(5))


def test_a_question_that_is_not_permitted(make_play):
    play = make_play(
        Config(resolver=BOTH),
        intercept=lambda client, question: REFUSED if question.name[-1] == b"evil" else None,
    )
    assert rcode(play.reply(play.ask("www.evil"))) == "REFUSED"
    assert len(play.sent(play.ask("www.good"))) == 2


def test_answer_in_place_of_asking(make_play):
    answer = Message(0, answers=(Record((b"x",), Type.A, 60, b"\1\2\3\4"),), response=True)
    play = make_play(Config(resolver=BOTH), intercept=lambda *_: Verdict(answer=answer))
    assert str(play.reply(play.ask("x")).a.rdata) == "1.2.3.4"
    assert [each.via for each in play.dns.events()] == ["intercepted"]


def test_another_question_in_its_place(make_play):
    """Asked, cached or one of ours: the machine learns that the name is an alias."""
    targets = {b"one": "www.example.com", b"two": "www.example.com", b"three": "web"}

    def intercept(client, question):
        name = targets.get(question.name[0])
        return Verdict(question=replace(question, name=parse_name(name))) if name else None

    play = make_play(Config(resolver=BOTH), intercept=intercept)
    sent = play.ask("one.x")[0]
    assert str(dnslib.DNSRecord.parse(sent.data).q.qname) == "www.example.com."
    replies = [play.reply(play.answer(sent, WWW))]
    replies += [play.reply(play.ask(name)) for name in ("two.x", "three.x")]
    assert [[str(each.rdata) for each in reply.rr] for reply in replies] == [
        ["www.example.com.", "1.2.3.4"], ["www.example.com.", "1.2.3.4"], ["web.", "192.168.65.3"],
    ]  # fmt: skip
    assert [str(reply.q.qname) for reply in replies] == ["one.x.", "two.x.", "three.x."]
    assert [each.via for each in play.dns.events()] == ["10.0.0.1", "cache", "local"]


def test_questions_that_are_delayed(make_play):
    play = make_play(Config(resolver=BOTH), intercept=lambda *_: Verdict(delay_s=3))
    for number in range(MAX_DELAYED + 5):
        assert play.ask("web", ident=number) == []
    assert play.dns.next_timer() == play.now + 3
    play.dns.timer_fired(play.now + 2.9)
    assert play.dns.actions() == []
    assert len(play.tick()) == MAX_DELAYED
    assert play.dns.next_timer() is None


def test_one_link_cannot_use_up_all(play):
    """Whatever addresses its machines say they have."""
    most = MAX_EXCHANGES_OF_ONE // len(BOTH.servers)
    for n in range(most):
        assert play.sent(play.ask(f"n{n}.example.com", client=Client(bytes([10, 0, 0, n]), 1)))
    play.dns.events()
    assert rcode(play.reply(play.ask("more.example.com"))) == "SERVFAIL"
    assert [each.via for each in play.dns.events()] == ["limited"]
    other = Client(GUEST.address, 1, link=1)
    [first, _] = play.ask("more.example.com", client=other)
    play.answer(first, "more.example.com. 300 A 1.2.3.4")
    assert rcode(play.reply(play.ask("more.example.com"))) == "NOERROR"  # from the cache


def test_questions_over_time_are_bounded(make_play):
    play = make_play(Config(resolver=BOTH), per_s=5)
    for n in range(10):
        play.answer(play.ask(f"n{n}.x")[0], f"n{n}.x. 300 A 1.2.3.4")
    assert rcode(play.reply(play.ask("more.x"))) == "SERVFAIL"
    assert rcode(play.reply(play.ask("n0.x"))) == "NOERROR"
    assert rcode(play.reply(play.ask("web.sampan.internal"))) == "NOERROR"
    play.now += 0.2
    assert play.sent(play.ask("more.x"))


def test_every_question_gives_its_share_back(make_play):
    play = make_play(Config(resolver=Resolver(servers=(ONE,), attempts=1)), per_s=10_000)
    for n in range(3 * MAX_EXCHANGES_OF_ONE):
        [sent] = play.ask(f"n{n}.x")
        if n % 3 == 0:
            play.dns.query_failed(sent.exchange)
        elif n % 3 == 1:
            play.tick()
        else:
            play.answer(sent, rcode=2)
        play.dns.actions()
    assert play.sent(play.ask("more.x"))


def test_questions_in_flight_are_bounded(play):
    for n in range(MAX_PENDING):
        assert play.sent(play.ask(f"n{n}.x", client=Client(GUEST.address, 1, link=n // 100)))
    assert rcode(play.reply(play.ask("more.x"))) == "SERVFAIL"


def test_those_who_wait_are_bounded_and_may_leave(play):
    first, _ = play.ask("www.example.com")
    for n in range(MAX_WAITERS + 5):
        play.ask("www.example.com", client=Client(GUEST.address, n, over_tcp=True, connection=n))
    play.dns.client_gone(3)
    replies = [each for each in play.answer(first, WWW) if isinstance(each, Reply)]
    assert len(replies) == MAX_WAITERS - 1


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 3)), max_size=30))
def test_noise_from_both_sides_leaves_nothing_behind(conversation):
    dns = Forwarder(Config(resolver=BOTH), Book(), lambda: 5)
    now = 0.0
    for step in conversation:
        if isinstance(step, bytes):
            dns.query_received(b"\0\1\1\0\0\1\0\0\0\0\0\0" + step, GUEST, now)
        for action in dns.actions():
            if isinstance(action, SendQuery) and not isinstance(step, bytes):
                data = action.data[:2] + bytes([0x80, step]) + action.data[4:]
                dns.answer_received(action.exchange, data, action.server, now)
    while (due := dns.next_timer()) is not None:
        now = due
        dns.timer_fired(now)
    assert dns._of_exchange == {}

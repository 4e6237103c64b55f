from sampan.net.services import dnsshare
from sampan.net.services.dnsshare import MAX_EXCHANGES_OF_ONE, Shares


def taken(shares, link, *, servers=1, now=0.0, tries=2000):
    return sum(shares.take(link, servers, now) for _ in range(tries))


def test_open_exchanges_are_bounded_by_link():
    shares = Shares(10_000)
    assert taken(shares, 1, servers=3) == MAX_EXCHANGES_OF_ONE // 3
    assert taken(shares, 2) == MAX_EXCHANGES_OF_ONE
    shares.give_back(1)
    assert taken(shares, 1, servers=3) == 1


def test_questions_over_time_are_bounded():
    shares = Shares(10)
    for _ in range(20):
        assert shares.take(1, 1, 0.0)
        shares.give_back(1)
    assert not shares.take(1, 1, 0.05)
    assert shares.take(1, 1, 0.1)
    assert taken(shares, 1, now=1000.0) == 20
    assert shares.take(2, 1, 0.0)


def test_slow_rates_let_one_pass():
    shares = Shares(0.1)
    assert shares.take(1, 1, 0.0)
    shares.give_back(1)
    assert not shares.take(1, 1, 9.0)
    assert shares.take(1, 1, 10.0)


def test_links_that_have_gone_are_forgotten(monkeypatch):
    monkeypatch.setattr(dnsshare, "_MANY", 4)
    shares = Shares(10)
    for link in range(100):
        assert shares.take(link, 1, float(link))
        if link:
            shares.give_back(link)
    assert len(shares._shares) <= 5
    assert 0 in shares._shares  # is still asking

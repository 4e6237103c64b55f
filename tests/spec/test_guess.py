from sampan.spec.guess import hint, nearest


def test_nearest_word():
    assert nearest("oom_score_adj", ["oomScoreAdj", "uid"]) == "oomScoreAdj"
    assert nearest("NET_ADMN", ["CAP_NET_ADMIN", "CAP_NET_RAW"]) == "CAP_NET_ADMIN"
    assert nearest("wbe", ["web", "db"]) == "web"


def test_nothing_near():
    assert nearest("zzz", ["binds", "net"]) is None
    assert nearest("", ["binds"]) is None
    assert nearest("b" * 1000, ["b" * 1001]) is None


def test_hint():
    assert hint("bind", ["binds"]) == "did you mean 'binds'?"
    assert hint("zzz", ["binds"]) is None

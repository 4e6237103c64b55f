import pytest

from sampan.spec import capability


def test_all_of_them_in_the_kernels_order():
    assert len(capability.ALL) == 41
    assert capability.ALL[0] == "CAP_CHOWN"
    assert capability.ALL[21] == "CAP_SYS_ADMIN"
    assert capability.ALL[40] == "CAP_CHECKPOINT_RESTORE"


@pytest.mark.parametrize("text", ["CAP_NET_ADMIN", "NET_ADMIN", "net_admin", "cap_net_admin"])
def test_spellings(text):
    assert capability.parse(text) == "CAP_NET_ADMIN"


def test_words():
    assert capability.parse("ALL") == "all"
    assert capability.parse("none") == "none"


@pytest.mark.parametrize("text", ["", "CAP_", "CAP_ALL", "CAP_NET"])
def test_unknown(text):
    with pytest.raises(ValueError, match="unknown capability"):
        capability.parse(text)


def test_expand():
    assert capability.expand(["CAP_BPF", "CAP_CHOWN", "CAP_BPF"]) == ("CAP_BPF", "CAP_CHOWN")
    assert capability.expand(["CAP_BPF", "all"]) == capability.ALL
    assert capability.expand(["none"]) == ()
    assert capability.expand([]) == ()

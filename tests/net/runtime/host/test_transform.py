from sampan.net.runtime.host.transform import PLAIN


def test_plain_passes_on_what_comes():
    assert PLAIN.received(b"data") == b"data"
    assert PLAIN.finished() == b""

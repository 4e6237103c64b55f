from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.dnsstream import Decoder, frame


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 7))
def test_messages_come_out_as_they_went_in_however_cut(messages, size):
    data = b"".join(map(frame, messages))
    decoder = Decoder()
    found = []
    for start in range(0, len(data), size):
        found += decoder.received(data[start : start + size])
    assert found == messages


def test_a_message_that_is_not_all_there_waits():
    decoder = Decoder()
    assert decoder.received(b"\xff\xff" + bytes(100)) == []
    assert decoder.received(bytes(65435)) == [bytes(65535)]

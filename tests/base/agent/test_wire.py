"""Frames: what is sent is read, in any pieces; what is lost is noticed, and never read as data."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sampan.base.agent import wire
from sampan.base.agent.wire import Decoder, Encoder, Frame, Hello

NONCE = bytes(range(16))
GREETING = Hello(wire.VERSION, NONCE, b"{}")
FRAMES = st.lists(
    st.tuples(st.integers(1, 7), st.integers(0, 2**32 - 1), st.binary(max_size=300)), max_size=8
)


def emitted(frames, encoder=None):
    encoder = encoder or Encoder()
    said = encoder.greet(GREETING, filled=True)
    return said + b"".join(encoder.emit(*frame) for frame in frames)


def decoded(data, piece=1 << 20):
    decoder, frames = Decoder(), []
    for start in range(0, len(data), piece):
        frames += decoder.received(data[start : start + piece])
    return frames


@given(FRAMES, st.integers(1, 50))
def test_what_is_sent_is_read_in_any_pieces(frames, piece):
    hello, *rest = decoded(emitted(frames)[-2000:], piece)
    assert hello == Frame(wire.HELLO, 0, GREETING.emit())
    assert rest == [Frame(*frame) for frame in frames]


@given(st.binary(max_size=200), FRAMES)
def test_noise_before_a_greeting_is_passed_over(noise, frames):
    assert decoded(noise + emitted(frames))[-len(frames) - 1].kind == wire.HELLO


@given(FRAMES.filter(len), st.data())
def test_a_lost_piece_is_noticed(frames, data):
    """Whatever goes missing, no frame is read that was not sent before it."""
    encoder = Encoder()
    greeting = encoder.greet(GREETING, filled=False)
    body = b"".join(encoder.emit(*frame) for frame in frames)
    start = data.draw(st.integers(0, len(body) - 1))
    end = data.draw(st.integers(start + 1, len(body)))
    assume(body[end:].find(b"\xff" * 13) < 0)  # data that looks like the filler of a greeting
    after = encoder.emit(wire.NOTE, 1, bytes(wire.MAX_PAYLOAD)) * 2
    found = decoded(greeting + body[:start] + body[end:] + after)[1:]
    kept = [Frame(*frame) for frame in frames]
    read = [frame for frame in found if frame.kind != wire.LOST]
    assert read == kept[: len(read)]
    if end - start < len(body) - start or read != kept:
        assert wire.LOST in [frame.kind for frame in found]


def test_four_bytes_of_filler_are_no_greeting():
    """The end of one header before another, as a lost piece leaves them."""
    encoder, decoder = Encoder(), Decoder()
    decoder.received(encoder.greet(GREETING, filled=False))
    torn = encoder.emit(wire.DATA, 0xFFFFFFFF)[8:] + encoder.emit(wire.NOTE, 1)
    assert [frame.kind for frame in decoder.received(torn)] == [wire.LOST]


def test_a_frame_that_comes_twice_is_noticed():
    encoder = Encoder()
    greeting = encoder.greet(GREETING, filled=False)
    frame = encoder.emit(wire.NOTE, 1, b"x")
    kinds = [each.kind for each in decoded(greeting + frame + frame)]
    assert kinds == [wire.HELLO, wire.NOTE, wire.LOST]


def test_a_greeting_interrupts_a_frame():
    """Filler completes the frame that is being read; it is lost, and the next session begins."""
    encoder, decoder = Encoder(), Decoder()
    decoder.received(encoder.greet(GREETING, filled=False))
    half = encoder.emit(wire.DATA, 1, bytes(wire.MAX_PAYLOAD))[:100]
    assert decoder.received(half) == []
    kinds = [frame.kind for frame in decoder.received(emitted([]))]
    assert kinds == [wire.LOST, wire.HELLO]


def test_a_greeting_between_frames_is_no_loss():
    decoder = Decoder()
    decoder.received(emitted([(wire.NOTE, 1, b"x")]))
    assert [frame.kind for frame in decoder.received(emitted([]))] == [wire.HELLO]


def test_what_is_of_another_session_is_no_frame():
    encoder = Encoder()
    encoder.greet(Hello(wire.VERSION, bytes(16), b""), filled=False)
    foreign = encoder.emit(wire.NOTE, 1, b"x")
    assert [frame.kind for frame in decoded(emitted([]) + foreign)] == [wire.HELLO, wire.LOST]


@pytest.mark.parametrize(
    "said",
    [
        Encoder().emit(wire.NOTE, 1, b"{}"),  # no HELLO
        Encoder().emit(wire.HELLO, 0, b"short"),
        b"\0" * 13,
    ],
)
def test_a_mark_without_a_greeting(said):
    assert decoded(wire.MARK + said) == []
    assert decoded(wire.MARK + said + emitted([]))[-1].kind == wire.HELLO


def test_a_second_greeting_without_its_mark_is_a_loss():
    encoder = Encoder()
    said = encoder.greet(GREETING, filled=False) + encoder.emit(wire.HELLO, 0, GREETING.emit())
    assert [frame.kind for frame in decoded(said)] == [wire.HELLO, wire.LOST]


def test_a_length_that_cannot_be():
    said = emitted([]) + b"\x01\x80\x00\x00" + bytes(9)
    assert [frame.kind for frame in decoded(said)] == [wire.HELLO, wire.LOST]


@given(st.binary(max_size=400))
def test_noise_fills_no_memory(noise):
    decoder = Decoder()
    for _ in range(300):
        decoder.received(noise)
    assert len(decoder._buffer) <= wire.MAX_PAYLOAD + 400


def test_hello():
    assert Hello.parse(GREETING.emit()) == GREETING
    assert Hello.parse(b"\1" + bytes(15)) is None

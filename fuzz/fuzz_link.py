"""Fuzz target: what arrives on links and goes through them, and the first bytes of connections."""

from __future__ import annotations

import contextlib

from sampan.errors import SampanError
from sampan.net.link import filter as capture_filter
from sampan.net.link import multiplex, pcapng, stream, vmnet
from sampan.net.services import forward, gateway, ntp, sni
from sampan.net.services.httprequest import RequestRewriter
from sampan.net.wire.error import MalformedError


def one(data: bytes) -> None:
    """Read `data` as every kind of stream, in one piece and in two.

    Raises:
        AssertionError: the pieces read otherwise than the whole.
    """
    for framing in (stream.QEMU, stream.VMNET):
        whole, halves = (_frames(framing, data, cut) for cut in (len(data), len(data) // 2))
        if whole != halves:
            raise AssertionError("frames depend on how the stream is cut")
    with contextlib.suppress(SampanError):
        vmnet.Server().received(data)
    with contextlib.suppress(SampanError):
        multiplex.Decoder().received(multiplex.greeting() + data)
    with contextlib.suppress(SampanError):
        list(pcapng.read(data))
    with contextlib.suppress(SampanError):
        gateway.parse(data)
    splitter = pcapng.Splitter()
    with contextlib.suppress(SampanError):
        splitter.received(pcapng.section() + data[: len(data) // 2])
        splitter.received(data[len(data) // 2 :])
    text = data.decode("latin-1")
    for read in (forward.parse, forward.parse_description, capture_filter.compile_filter):
        with contextlib.suppress(SampanError):
            read(text)
    capture_filter.headers(data)
    sni.server_name(data)
    with contextlib.suppress(MalformedError):
        ntp.answer(data, 0, 0)
    with contextlib.suppress(MalformedError):
        RequestRewriter("1.2.3.4").received(data)


def _frames(framing: stream.Framing, data: bytes, cut: int) -> list[bytes] | None:
    """The frames of a stream that comes in two pieces; None if it is refused."""
    decoder = stream.Decoder(framing)
    try:
        return decoder.received(data[:cut]) + decoder.received(data[cut:])
    except SampanError:
        return None

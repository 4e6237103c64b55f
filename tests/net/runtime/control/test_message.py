import msgspec
import pytest

from sampan.net.runtime.control.message import JSON, Request, Response, Source


def test_values_are_frozen():
    for each in (Request(method="GET", path="/"), Response()):
        with pytest.raises(AttributeError):
            setattr(each, "body", b"")  # noqa: B010  a checker would notice


def test_an_answer_is_json_unless_it_says_otherwise():
    assert (Response().status, Response().content_type) == (200, JSON)
    assert msgspec.structs.asdict(Response())["allow"] == ()


def test_sources_of_tests_are_sources(network):
    from sampan.net.runtime.control.model import CaptureStream

    source: Source = network.stream_capture(CaptureStream(), lambda: None)
    assert source.pull() == b"pcapng of ''"
    assert (source.pull(), source.ended) == (b"", False)

import threading

import pytest

from sampan.errors import SampanError
from sampan.image.finder import Finder
from sampan.oci.model import Platform
from sampan.oci.reference import InvalidReferenceError

AMD64 = Platform("amd64")
FILES = {"app": b"x"}


class Registry:
    """Brings images when they are asked for."""

    def __init__(self, add_image, *names):
        self.add_image, self.names, self.asked = add_image, names, []

    def fetch(self, reference, progress):
        self.asked.append(reference.familiar)
        if reference.familiar not in self.names:
            raise SampanError(f"no {reference.familiar} anywhere")
        self.add_image(reference.familiar, {"new": b"1"})


def find(finder, *names):
    return finder.find((f"init[{number}]", name) for number, name in enumerate(names))


def test_what_is_in_the_cache_is_taken_from_there(cache, add_image):
    add_image("a:1", FILES)
    registry = Registry(add_image)
    found = find(Finder(cache, AMD64, fetch=registry.fetch), "a:1")
    assert found["a:1"].reference.familiar == "a:1"
    assert not registry.asked


def test_what_is_not_is_fetched_once(cache, add_image):
    registry = Registry(add_image, "b:1", "c:1")
    found = find(Finder(cache, AMD64, fetch=registry.fetch), "b:1", "c:1", "b:1")
    assert found.keys() == {"b:1", "c:1"}
    assert sorted(registry.asked) == ["b:1", "c:1"]


def test_pull_asks_for_everything(cache, add_image):
    add_image("a:1", FILES)
    registry = Registry(add_image, "a:1")
    before = find(Finder(cache, AMD64), "a:1")["a:1"]
    after = find(Finder(cache, AMD64, fetch=registry.fetch, pull=True), "a:1")["a:1"]
    assert registry.asked == ["a:1"]
    assert before.digest != after.digest


def test_an_image_for_another_platform_is_fetched(cache, add_image):
    add_image("a:1", FILES, architecture="arm64")
    registry = Registry(add_image, "a:1")
    find(Finder(cache, AMD64, fetch=registry.fetch), "a:1")
    assert registry.asked == ["a:1"]


def test_errors_name_the_place_in_the_document(cache, add_image):
    registry = Registry(add_image, "b:1")
    with pytest.raises(SampanError) as caught:
        find(Finder(cache, AMD64, fetch=registry.fetch), "a:1", "b:1")
    assert str(caught.value) == "init[0]: no a:1 anywhere"
    with pytest.raises(SampanError) as caught:
        find(Finder(cache, AMD64), "a:1")
    assert str(caught.value) == "init[0]: a:1 is not in the cache"


def test_the_first_failure_ends_the_others(cache):
    began = threading.Barrier(2, timeout=60)

    def fetch(reference, progress):
        began.wait()
        if reference.familiar == "bad:1":
            raise SampanError("no such image")
        while True:  # ended by the report
            progress.start("fetch", None)

    with pytest.raises(SampanError, match=r"init\[1\]: no such image"):
        find(Finder(cache, AMD64, fetch=fetch), "a:1", "bad:1")


def test_a_name_that_is_none(cache):
    with pytest.raises(InvalidReferenceError, match=r"init\[0\]: "):
        find(Finder(cache, AMD64), "A B")


def test_the_catalog_comes_first(cache, add_image, monkeypatch):
    from sampan.oci.reference import Reference
    from sampan.package import build

    add_image("sampan/init:abc", FILES)
    asked = []

    def from_catalog(reference, *_, **__):
        asked.append(reference.familiar)
        return Reference.parse("sampan/init:abc")

    monkeypatch.setattr(build, "build_from_catalog", from_catalog)
    found = find(Finder(cache, AMD64), "sampan/init")
    assert asked == ["sampan/init"]
    assert found["sampan/init"].reference.tag == "abc"

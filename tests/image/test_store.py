import pytest

from sampan.errors import SampanError
from sampan.image.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "steps")


def content(store, path):
    with store.open(path) as found:
        return None if found is None else found.read()


def test_what_is_made_is_found(store):
    path = store.path("a", "b")
    assert content(store, path) is None
    store.make(path, lambda out: out.writelines([b"abc"]))
    assert content(store, path) == b"abc"
    assert store.has(path)


def test_the_name_has_all_facts_and_where_they_end(store):
    assert len({store.path("a", "b"), store.path("ab"), store.path("b", "a")}) == 3


def test_copy(store, tmp_path):
    path = store.path("a")
    store.make(path, lambda out: out.writelines([b"abc"]))
    with (tmp_path / "out").open("wb") as out, store.open(path) as found:
        out.write(b"1")
        found.copy_to(out)
        found.copy_to(out)
    assert (tmp_path / "out").read_bytes() == b"1abcabc"


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d[1:], lambda d: bytes(len(d))])
def test_what_a_power_failure_leaves_is_not_found(store, damage):
    path = store.path("a")
    store.make(path, lambda out: out.writelines([b"abc"]))
    path.write_bytes(damage(path.read_bytes()))
    assert content(store, path) is None
    store.make(path, lambda out: out.writelines([b"new"]))
    assert content(store, path) == b"new"


def test_nothing_appears_when_it_fails(store):
    def fail(out):
        out.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SampanError) as caught:
        store.make(store.path("a"), fail)
    assert str(caught.value) == f"{store.folder} cannot be written: no space left on device"
    assert list(store.folder.iterdir()) == []


def test_clean(store):
    assert store.clean() == 0
    store.make(store.path("a"), lambda out: out.writelines([b"abc"]))
    (store.folder / ".tmp-x").write_bytes(b"left")
    assert store.clean() > 7
    assert list(store.folder.iterdir()) == []

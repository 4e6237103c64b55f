import pytest
from msgspec import UNSET

from sampan.errors import DocumentError
from sampan.image import idmap
from sampan.spec.model import Container, Spec


def containers(*names):
    return tuple(Container(name=name, image="x") for name in names)


SPEC = Spec(onboot=containers("a", "b"), onshutdown=containers("c"), services=containers("d", "a"))


def test_ids_count_from_100_and_the_last_of_a_name_has_it():
    assert idmap.allot(SPEC) == {"b": 101, "c": 102, "d": 103, "a": 104}


@pytest.mark.parametrize(("value", "number"), [(UNSET, 0), (5, 5), (0, 0), ("d", 103)])
def test_resolve(value, number):
    assert idmap.resolve(value, idmap.allot(SPEC), "files[0].uid") == number


def test_an_unknown_name_is_a_fault_of_the_document():
    with pytest.raises(DocumentError) as caught:
        idmap.resolve("dd", {"d": 100}, "files[0].uid")
    assert str(caught.value) == ("files[0].uid: no container is named 'dd'\n    containers: d")

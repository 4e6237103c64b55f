from pathlib import Path

from sampan.spec.document import Document
from sampan.spec.model import Spec, Volume
from sampan.spec.source import Source


def test_what_is_understood_is_there_beside_the_faults(document):
    found = document("init: [a, 1]\nvolumes: [{name: v}]\n")
    assert found.spec == Spec(init=("a",), volumes=(Volume("v"),))
    assert len(found.faults) == 1


def test_a_document_that_cannot_be_read_is_an_empty_spec(document):
    assert document("[").spec == Spec()
    assert document("[]").spec == Spec()


def test_from_a_value_back_to_its_place(document):
    found = document("volumes:\n  - name: v\n  - {name: w, x: 1}\n")
    v, w = found.spec.volumes
    assert found.clean(v)
    assert not found.clean(w)
    assert not found.clean(Volume("v"))
    assert found.where(v) == "t.yml:2:5"
    assert found.where(Volume("v")) == ""


def test_faults_stand_at_a_key_or_the_value(document):
    found = document("volumes:\n  - name: v\n")
    (v,) = found.spec.volumes
    found.fault(v, "name", "one")
    found.fault(v, "image", "two")
    found.fault(v, "", "three")
    found.fault(Volume("x"), "name", "four")
    assert [(p.path, p.message, str(p.where)) for p in found.faults.problems] == [
        ("name", "four", "t.yml:1:1"),
        ("volumes[0].image", "two", "t.yml:2:5"),
        ("volumes[0]", "three", "t.yml:2:5"),
        ("volumes[0].name", "one", "t.yml:2:11"),
    ]


def test_packages_are_relative_to_the_document():
    seen = []

    def resolve(path):
        seen.append(path)
        return "a/b:c"

    text = "kernel: {image: '@pkg:k'}\ninit: ['@pkg:../i']\nvolumes: [{name: v, image: '@pkg:v'}]"
    source = Source.text(text, "x", folder=Path("dir"))
    found = Document(source, resolve)
    assert found.faults.problems == []
    assert seen == [Path("dir/k"), Path("dir/../i"), Path("dir/v")]
    assert (found.spec.kernel.image, found.spec.init) == ("a/b:c", ("a/b:c",))
    assert len(Document(Source.text(text, "x"), resolve).faults) == 3

from msgspec import UNSET

from sampan.spec.merge import apply_label, merge
from sampan.spec.model import (
    BindNS,
    Container,
    ContainerDefaults,
    File,
    Kernel,
    Output,
    Runtime,
    Spec,
    Trust,
    Volume,
)
from sampan.spec.text import Bind

A, B, C = (Bind("/a", "/a"), Bind("/b", "/b"), Bind("/c", "/c"))


def container(**values):
    return Container(name="n", image="i", **values)


def test_lists_append():
    one = Spec(init=("a",), files=(File("x"),), volumes=(Volume("v"),), outputs=(Output("tar"),))
    two = Spec(init=("b",), services=(container(),), volumes=(Volume("w"),))
    assert merge([one, two]) == Spec(
        init=("a", "b"),
        files=(File("x"),),
        volumes=(Volume("v"), Volume("w")),
        services=(container(),),
        outputs=(Output("tar"),),
    )
    assert merge([]) == Spec()


def test_the_kernel_is_overridden_by_what_is_not_empty():
    one = Spec(kernel=Kernel(image="a", cmdline="x", tar="none"))
    two = Spec(kernel=Kernel(cmdline="y", tar="", ucode=""))
    merged = merge([one, two]).kernel
    assert merged == Kernel(image="a", cmdline="y", tar="none", ucode="")


def test_an_empty_tar_alone_says_none():
    assert merge([Spec(kernel=Kernel(tar=""))]).kernel.tar == ""


def test_trust_appends():
    merged = merge([Spec(trust=Trust(image=("a",))), Spec(trust=Trust(image=("b",), org=("c",)))])
    assert merged.trust == Trust(image=("a", "b"), org=("c",))


def test_the_label_fills_what_the_container_does_not_say():
    label = ContainerDefaults(binds=(A,), net="new", readonly=True, command=("x",))
    result = apply_label(container(net="host", command=()), label)
    assert result == container(binds=(A,), net="host", readonly=True, command=())


def test_a_list_replaces_the_labels():
    label = ContainerDefaults(binds=(A,), capabilities=("CAP_KILL",))
    assert apply_label(container(binds=(B,), capabilities=()), label) == container(
        binds=(B,), capabilities=()
    )


def test_added_ones_come_after_the_labels_each_once():
    label = ContainerDefaults(binds=(A, B), capabilities=("CAP_KILL",))
    given = container(binds_add=(B, C), capabilities_add=("all", "CAP_KILL"))
    result = apply_label(given, label)
    assert result.binds == (A, B, C)
    assert result.capabilities == ("CAP_KILL", "all")
    assert result.binds_add is UNSET
    assert result.capabilities_add is UNSET


def test_additions_need_no_label():
    assert apply_label(container(binds_add=(A,)), ContainerDefaults()) == container(binds=(A,))
    assert apply_label(container(), ContainerDefaults()) == container()


def test_a_label_may_add_too():
    label = ContainerDefaults(binds_add=(A,))
    assert apply_label(container(binds=(B,), binds_add=(C,)), label).binds == (B, A, C)


def test_runtime_goes_by_its_fields():
    label = ContainerDefaults(runtime=Runtime(mkdir=("/l",), bind_ns=BindNS(net="/n")))
    given = container(runtime=Runtime(mkdir=("/y",), namespace="z"))
    assert apply_label(given, label).runtime == Runtime(
        mkdir=("/y",), bind_ns=BindNS(net="/n"), namespace="z"
    )
    assert apply_label(container(), label).runtime == label.runtime
    assert apply_label(given, ContainerDefaults()).runtime == given.runtime

from sampan.spec.merge import merge
from sampan.spec.model import Container, File, Kernel, Output, Spec, Trust, Volume

A = Container(name="a", image="i")


def test_lists_append():
    one = Spec(init=("a",), files=(File("x"),), volumes=(Volume("v"),), outputs=(Output("tar"),))
    two = Spec(init=("b",), services=(A,), volumes=(Volume("w"),))
    assert merge([one, two]) == Spec(
        init=("a", "b"),
        files=(File("x"),),
        volumes=(Volume("v"), Volume("w")),
        services=(A,),
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

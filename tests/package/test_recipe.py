import pytest

from sampan.package.recipe import Debian, ExtraSource, Kernel, Restricted, User


def test_a_package_can_be_for_some_architectures():
    assert Restricted.package("nginx-light") == Restricted("nginx-light")
    both = Restricted.package("syslinux [amd64 i386]")
    assert both == Restricted("syslinux", ("amd64", "i386"))
    assert Restricted.package(str(both)) == both
    packages = (both, Restricted("b"), Restricted("a"), Restricted("b", ("arm64",)))
    debian = Debian(packages=packages)
    assert debian.packages_for("amd64") == ("a", "b", "syslinux")
    assert debian.packages_for("arm64") == ("a", "b")


@pytest.mark.parametrize("text", ["", "A", "a b", "-x", "a[", "a []", "a [amd64", "a=1", "a [x]y"])
def test_what_is_no_package_is_refused(text):
    with pytest.raises(ValueError, match="is not the name of a Debian package"):
        Restricted.package(text)


def test_modules_are_patterns():
    kernel = Kernel(modules=(Restricted.module("virtio_*"), Restricted.module("i6300esb [amd64]")))
    assert kernel.modules_for("arm64") == ("virtio_*",)
    with pytest.raises(ValueError, match="kernel module"):
        Restricted.module("a/b")


def test_extra_sources():
    assert ExtraSource.parse("../agent:lib/agent/") == ExtraSource("../agent", "lib/agent")
    for text in ("a", "a:", ":b", "a:b:c", "a:../b"):
        with pytest.raises(ValueError, match="destination"):
            ExtraSource.parse(text)


def test_a_users_group_has_its_number_unless_it_is_said():
    assert User(name="a", uid=5).group_id == 5
    assert User(name="a", uid=5, gid=0).group_id == 0

import pytest

from sampan.errors import UnsupportedError, UsageError
from sampan.formats import catalog


def test_each_once_in_the_order_asked():
    names = ["tar", "kernel+initrd", "tar"]
    assert [one.name for one in catalog.choose(names)] == ["tar", "kernel+initrd"]


@pytest.mark.parametrize("name", catalog.NOT_YET)
def test_formats_that_are_known_but_not_there(name):
    with pytest.raises(UnsupportedError) as caught:
        catalog.choose(["tar", name])
    assert str(caught.value) == (
        f"this version of sampan cannot do the format {name}: it is not there yet"
    )
    assert caught.value.hint == "formats: kernel+initrd, tar, docker, tar-kernel-initrd"


def test_unknown_formats():
    with pytest.raises(UsageError, match="there is no format 'tarr'"):
        catalog.choose(["tarr"])

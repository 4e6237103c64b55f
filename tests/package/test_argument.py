import pytest

from sampan.errors import UsageError
from sampan.package import argument
from sampan.package.argument import ArgumentError
from sampan.package.tag import Sources


def names(path):
    if path.name.startswith("."):
        raise UsageError("no package")
    return f"me/{path.name}:1"


def test_presets():
    clean = Sources("abc", revision="0123456789abcdef", commit_s=86400)
    assert argument.preset(clean, gitrepo="http://g", image="me/x:abc") == (
        ("SOURCE", "http://g"),
        ("REVISION", "0123456789abcdef"),
        ("GOPKGVERSION", "v0.0.0-19700102000000-0123456789ab"),
        ("PKG_HASH", "abc"),
        ("PKG_IMAGE", "me/x:abc"),
    )
    dirty = Sources("abc", dirty=True, revision="01")
    assert argument.preset(dirty, gitrepo="", image="i") == (
        ("PKG_HASH", "abc"),
        ("PKG_IMAGE", "i"),
    )


def test_plain_and_one_package(tmp_path):
    assert argument.expand(["A=b=c", "B=", "P=@lkt:pkg:../other"], tmp_path, names) == (
        ("A", "b=c"),
        ("B", ""),
        ("P", "me/other:1"),
    )


def test_all_packages_of_a_pattern(tmp_path):
    for name in ("pkg/a-b", "pkg/c", "pkg/.d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "me").mkdir()
    assert argument.expand(["DEP_%=@lkt:pkgs:../pkg/*"], tmp_path / "me", names) == (
        ("DEP_ME_A_B", "me/a-b:1"),
        ("DEP_ME_C", "me/c:1"),
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("A", "has no value"),
        ("=b", "has no value"),
        ("A=@lkt:pkgs:*", "needs one %"),
        ("A_%=@lkt:pkgs:none*", "finds no package"),
    ],
)
def test_faults(tmp_path, word, message):
    with pytest.raises(ArgumentError, match=message):
        argument.expand([word], tmp_path, names)

import pytest

from sampan.package.selection import chooser, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("usr/bin/*", "usr/bin/sh"),
        ("/usr/bin/", "usr/bin/sh"),
        ("usr/bin", "usr/bin"),
        ("usr/lib/*/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("**/sh", "sh"),
        ("**/sh", "usr/bin/sh"),
        ("usr/**/sh", "usr/bin/x/sh"),
        ("usr/**", "usr/bin/sh"),
        ("lib[xy].so.?", "liby.so.6"),
        ("lib[!z]", "liba"),
        ("a[b", "a[b"),
        ("etc", "etc/\n"),
        ("a.b+c", "a.b+c"),
    ],
)
def test_matches(pattern, name):
    assert compile_pattern(pattern).fullmatch(name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("usr/bin/*", "usr/bin"),
        ("usr/bi", "usr/bin"),
        ("usr/*/sh", "usr/a/b/sh"),
        ("lib[!z]", "libz"),
        ("a.b", "axb"),
        ("?", "/"),
        ("[a-z]", "["),
    ],
)
def test_does_not_match(pattern, name):
    assert not compile_pattern(pattern).fullmatch(name)


def test_everything_but_documentation_is_chosen():
    chosen = chooser()
    assert chosen("usr/bin/sh")
    assert chosen("usr/share/doc/dash/copyright")
    assert not chosen("usr/share/doc/dash/changelog.gz")
    assert not chosen("usr/share/doc/dash/examples/copyright")
    assert not chosen("usr/share/man/man1/sh.1.gz")
    assert chooser(documentation=True)("usr/share/man/man1/sh.1.gz")


def test_drop_is_stronger_than_keep():
    chosen = chooser(keep=["usr/**"], drop=["usr/share"])
    assert chosen("usr/bin/sh")
    assert not chosen("usr/share/x/y")
    assert not chosen("etc/passwd")

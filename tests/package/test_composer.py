import hashlib

import pytest

from sampan.base.entry import Kind
from sampan.package import composer
from sampan.package.apt import Download, Package
from sampan.package.composer import Installed, Options
from sampan.package.recipe import Addition, Debian, Directory, Group, Kernel, Recipe, Restricted
from sampan.package.recipe import User as Account

RECIPE = Recipe(image="x")


@pytest.fixture
def compose(tmp_path, stage, monkeypatch):
    """`compose(debian, debs)` composes from packages that are there already."""

    def run(debian, debs=(), architecture="amd64", **options):
        downloads = [
            Download(
                deb.name,
                deb.stat().st_size,
                hashlib.sha256(deb.read_bytes()).hexdigest(),
                "http://x",
            )
            for deb in debs
        ]
        monkeypatch.setattr(composer, "_fetch", lambda *_: tuple(downloads))
        return composer.compose(
            RECIPE,
            debian,
            tmp_path,
            architecture,
            tmp_path,
            stage=stage,
            options=Options(**options),
        )

    return run


def tree(stage):
    return {
        node.entry.name: node.entry.target
        if node.entry.kind is Kind.SYMLINK
        else stage.read(node)
        if node.entry.kind is Kind.FILE
        else None
        for node in stage
    }


def test_packages_are_unpacked_and_listed(compose, make_deb, stage):
    one = make_deb("one", {"usr/bin/one": "1"}, date_s=5, Source="src (1.0)", Homepage="http://h")
    two = make_deb("two", {"bin/two": "2", "usr/share/man/man1/two.1": ""}, date_s=9)
    made = compose(Debian(), [one, two])
    assert made.epoch_s == 9
    assert made.installed[0] == Installed(
        "one", "1.0-1", "amd64", "src", "", "http://h", hashlib.sha256(one.read_bytes()).hexdigest()
    )
    found = tree(stage)
    assert found["usr/bin/one"] == b"1"
    assert found["usr/bin/two"] == b"2"
    assert found["bin"] == "usr/bin"
    assert found["lib64"] == "usr/lib64"
    assert not any("man" in name for name in found)


def test_the_time_can_be_given(compose, make_deb):
    assert compose(Debian(), [make_deb("one", {}, date_s=5)], epoch_s=3).epoch_s == 3
    assert compose(Debian()).epoch_s == 0


def test_lib64_is_only_where_it_belongs(compose, stage):
    compose(Debian(), architecture="arm64")
    assert "lib" in stage
    assert "lib64" not in stage


def test_without_merged_usr_the_loader_is_linked(compose, make_deb, stage):
    libc = make_deb(
        "libc6",
        {
            "usr/lib/x/ld-linux-x86-64.so.2": "L",
            "usr/lib64/ld-linux-x86-64.so.2": "-> ../lib/x/ld-linux-x86-64.so.2",
        },
    )
    compose(Debian(merged_usr=False), [libc])
    assert tree(stage)["lib64/ld-linux-x86-64.so.2"] == "../usr/lib64/ld-linux-x86-64.so.2"
    assert stage.find("lib64").entry.kind is Kind.DIRECTORY
    assert stage.read(stage.find("lib64/ld-linux-x86-64.so.2")) == b"L"


def test_keep_and_drop_do_not_touch_the_recipes_own(compose, make_deb, stage):
    deb = make_deb("one", {"usr/bin/one": "1", "usr/bin/two": "2", "usr/lib/x": "x"})
    debian = Debian(
        keep=("usr/bin/*",), drop=("usr/bin/two",), files=(Addition(path="/usr/lib/y"),)
    )
    compose(debian, [deb])
    assert {name for name, data in tree(stage).items() if isinstance(data, bytes)} == {
        "usr/bin/one",
        "usr/lib/y",
    }


def test_additions(compose, make_deb, stage, tmp_path):
    (tmp_path / "nginx.conf").write_text("mine")
    deb = make_deb("one", {"etc/nginx.conf": "theirs", "bin/sh": "", "etc/group": "web:x:33:\n"})
    debian = Debian(
        directories=(Directory(path="/var/www", uid=33, gid=33),),
        files=(Addition(path="/etc/nginx.conf", source="nginx.conf"),),
        links=(("/bin/sh", "busybox"), ("/etc/x", "/y")),
        users=(Account(name="www", uid=33, home="/var/www"),),
        groups=(Group(name="adm", gid=4),),
    )
    compose(debian, [deb])
    found = tree(stage)
    assert found["etc/nginx.conf"] == b"mine"
    assert (found["usr/bin/sh"], found["etc/x"]) == ("busybox", "/y")
    assert found["etc/group"] == b"root:x:0:\nweb:x:33:\nadm:x:4:\n"
    assert b"www:x:33:33::/var/www:" in found["etc/passwd"]
    assert stage.find("var/www").entry.uid == 33


def test_a_kernel_becomes_a_kernel_image(compose, make_deb, make_module, stage):
    deb = make_deb("linux-image", {
        "boot/vmlinuz-6": "K", "usr/lib/modules/6/kernel/m.ko": make_module(depends=[""]),
    })  # fmt: skip
    compose(Debian(kernel=Kernel(modules=(Restricted("m"),))), [deb])
    assert set(tree(stage)) == {"kernel", "kernel.tar"}


def test_python_of_another_architecture_is_left_alone(compose, make_deb, stage):
    deb = make_deb("py", {"usr/lib/x.py": ""}, architecture="s390x")
    compose(Debian(python=True), [deb], architecture="s390x")
    assert "usr/lib/__pycache__" not in stage


def test_what_is_wanted_of_a_solved_set():
    solved = [Package(name, "1", "amd64") for name in ("libc6", "linux-image-6", "perl-base")]
    assert [p.name for p in composer.wanted(solved, Debian(without=("perl*",)))] == [
        "libc6",
        "linux-image-6",
    ]
    assert [p.name for p in composer.wanted(solved, Debian(only=("linux-*",)))] == ["linux-image-6"]


def test_no_packages_need_no_apt(tmp_path, stage):
    made = composer.compose(RECIPE, Debian(), tmp_path, "amd64", tmp_path / "apt", stage=stage)
    assert made.installed == ()
    assert not (tmp_path / "apt").exists()

import io
import lzma
import tarfile

import pytest

from sampan.package import kernel
from sampan.package.kernel import KernelError
from sampan.package.module import ModuleError
from sampan.package.recipe import Kernel, Restricted

ROOT = "usr/lib/modules/6.1"


@pytest.fixture
def debian_kernel(stage, make_module):
    stage.add_file("boot/vmlinuz-6.1", b"kernel")
    stage.add_file("boot/config-6.1", b"")
    stage.add_file(f"{ROOT}/modules.builtin", b"kernel/fs/ext4.ko\n")
    stage.add_file(f"{ROOT}/modules.order", b"")
    stage.add_file("usr/share/doc/linux/copyright", b"c")
    for name, depends in {"a-b": ["c"], "c": [""], "d": [""]}.items():
        data = lzma.compress(make_module(depends=depends))
        stage.add_file(f"{ROOT}/kernel/{name}.ko.xz", data)
    return stage


def wanted(*patterns):
    return Kernel(modules=tuple(Restricted.module(pattern) for pattern in patterns))


def test_linuxkits_form(debian_kernel):
    kernel.arrange(debian_kernel, wanted("a_b", "ext4", "nope [arm64]"), "amd64")
    files = {n.entry.name: n for n in debian_kernel if n.entry.kind.value == "f"}
    assert set(files) == {"kernel", "kernel.tar", "usr/share/doc/linux/copyright"}
    assert debian_kernel.read(files["kernel"]) == b"kernel"
    tar = io.BytesIO(debian_kernel.read(files["kernel.tar"]))
    with tarfile.open(fileobj=tar) as archive:
        names = [member.name for member in archive if member.isfile()]
        assert names == [
            f"lib/modules/6.1/{name}"
            for name in (
                "kernel/a-b.ko",
                "kernel/c.ko",
                "modules.alias",
                "modules.alias.bin",
                "modules.builtin",
                "modules.builtin.alias.bin",
                "modules.builtin.bin",
                "modules.dep",
                "modules.dep.bin",
                "modules.order",
                "modules.softdep",
                "modules.symbols",
                "modules.symbols.bin",
            )
        ]
        dep = archive.extractfile("lib/modules/6.1/modules.dep")
        assert dep is not None
        assert dep.read() == b"kernel/a-b.ko: kernel/c.ko\nkernel/c.ko:\n"


def test_modules_may_stay_compressed(debian_kernel):
    recipe = Kernel(modules=(Restricted.module("a_b"),), compressed=True)
    kernel.arrange(debian_kernel, recipe, "amd64")
    tar = io.BytesIO(debian_kernel.read(debian_kernel.find("kernel.tar")))
    with tarfile.open(fileobj=tar) as archive:
        file = archive.extractfile("lib/modules/6.1/kernel/a-b.ko.xz")
        assert file is not None
        assert lzma.decompress(file.read()).startswith(b"\x7fELF")
        dep = archive.extractfile("lib/modules/6.1/modules.dep")
        assert dep is not None
        assert b"kernel/a-b.ko.xz: kernel/c.ko.xz\n" in dep.read()


def test_an_unknown_module_is_named(debian_kernel):
    with pytest.raises(ModuleError, match="no module nope"):
        kernel.arrange(debian_kernel, wanted("nope"), "amd64")


def test_there_must_be_one_kernel(stage, debian_kernel):
    debian_kernel.add_file("boot/vmlinuz-6.2", b"")
    with pytest.raises(KernelError, match=r"vmlinuz-6\.1, boot/vmlinuz-6\.2"):
        kernel.arrange(debian_kernel, wanted(), "amd64")


def test_there_must_be_modules_with_it(stage):
    with pytest.raises(KernelError, match="the packages have none"):
        kernel.arrange(stage, wanted(), "amd64")
    stage.add_file("boot/vmlinuz-6.1", b"")
    with pytest.raises(KernelError, match=r"no /lib/modules/6\.1"):
        kernel.arrange(stage, wanted(), "amd64")


def test_a_bomb_is_refused(debian_kernel, monkeypatch):
    monkeypatch.setattr(kernel, "_MODULE_LIMIT", 100)
    with pytest.raises(KernelError, match="larger than"):
        kernel.arrange(debian_kernel, wanted("c"), "amd64")

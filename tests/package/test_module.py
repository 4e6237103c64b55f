import pytest

from sampan.package import module, trie
from sampan.package.module import Module, ModuleError

PATHS = {
    "net/virtio_net.ko": Module("virtio_net", "net/virtio_net.ko", ("net_failover",)),
    "net/net-failover.ko": Module("net_failover", "net/net-failover.ko", ("failover",)),
    "net/failover.ko": Module("failover", "net/failover.ko"),
    "fs/ext4.ko": Module("ext4", "fs/ext4.ko", ("jbd2", "mbcache"), before=("crc32c", "gone")),
    "fs/jbd2.ko": Module("jbd2", "fs/jbd2.ko"),
    "fs/mbcache.ko": Module("mbcache", "fs/mbcache.ko"),
    "lib/crc32c.ko": Module("crc32c", "lib/crc32c.ko"),
}


def test_reads_what_a_module_says(make_module):
    elf = make_module(
        depends=["a-b,c"],
        alias=["pci:v*", "fs-x"],
        softdep=["pre: p-q r", "post: s"],
        license=["GPL"],
        symbols=["z_sym", "a_sym"],
    )
    assert module.read_module("kernel/x/my-mod.ko", elf) == Module(
        name="my_mod",
        path="kernel/x/my-mod.ko",
        depends=("a_b", "c"),
        before=("p_q", "r"),
        after=("s",),
        aliases=("pci:v*", "fs-x"),
        symbols=("a_sym", "z_sym"),
    )


@pytest.mark.parametrize("cut", [0, 3, 40, 63, 100, -1, -70, -200])
def test_broken_modules_are_refused(make_module, cut):
    with pytest.raises(ModuleError, match=r"m\.ko"):
        module.read_module("m.ko", make_module(depends=["x"])[:cut])


def test_a_file_of_another_kind_is_refused(make_module):
    with pytest.raises(ModuleError, match="not a 64-bit"):
        module.read_module("m.ko", b"#!/bin/sh\n" + bytes(100))


@pytest.mark.parametrize(
    ("path", "expected"), [("a/b.ko", True), ("b.ko.xz", True), ("modules.order", False)]
)
def test_is_module(path, expected):
    assert module.is_module(path) is expected


def choose(*patterns, **more):
    return [item.name for item in module.choose(PATHS, patterns, PATHS.__getitem__, **more)]


def test_the_chosen_are_closed_under_their_dependencies():
    assert choose("virtio-net") == ["failover", "net_failover", "virtio_net"]
    assert choose("ext*") == ["ext4", "jbd2", "mbcache", "crc32c"]
    assert len(choose("*")) == len(PATHS)


def test_only_the_chosen_are_read():
    read: list[str] = []

    def reader(path):
        read.append(path)
        return PATHS[path]

    module.choose(PATHS, ["failover"], reader)
    assert read == ["net/failover.ko"]


def test_unknown_modules_are_named():
    with pytest.raises(ModuleError, match="no module nope, nada"):
        choose("nope", "failover", "nada")
    assert choose("nope", builtin=["nope"]) == []


def test_tables():
    chosen = module.choose(PATHS, ["virtio_net", "ext4"], PATHS.__getitem__)
    assert module.dependency_table(chosen) == (
        "fs/ext4.ko: fs/mbcache.ko fs/jbd2.ko\n"
        "fs/jbd2.ko:\n"
        "fs/mbcache.ko:\n"
        "lib/crc32c.ko:\n"
        "net/failover.ko:\n"
        "net/net-failover.ko: net/failover.ko\n"
        "net/virtio_net.ko: net/net-failover.ko net/failover.ko\n"
    )
    assert module.soft_dependency_table(chosen) == "softdep ext4 pre: crc32c gone\n"


def test_aliases_and_symbols():
    one = Module("m", "m.ko", aliases=("pci:*", "fs-m"), symbols=("f",), after=("x",))
    assert module.alias_table([one]) == "alias pci:* m\nalias fs-m m\n"
    assert module.symbol_table([one]) == "alias symbol:f m\n"
    assert module.soft_dependency_table([one]) == "softdep m post: x\n"


def test_what_is_needed_by_two_is_loaded_before_both():
    modules = [
        Module("a", "a.ko", ("b", "c")),
        Module("b", "b.ko", ("c",)),
        Module("c", "c.ko", ("a",)),  # a circle, which no kernel has
    ]
    assert module.dependency_table(modules).splitlines()[0] == "a.ko: b.ko c.ko"


def test_binary_tables():
    modules = [
        Module("a", "k/a.ko", ("b",), aliases=("pci:v-[a-c]-*",)),
        Module("b", "k/b.ko", symbols=("f",)),
    ]
    facts = b"ext4.alias=fs-ext4\0ext4.license=GPL\0virtio-pci.alias=pci:v1\0"
    assert module.binary_tables(modules, ["ext4"], facts) == {
        "modules.dep.bin": trie.encode([("a", "k/a.ko: k/b.ko", 0), ("b", "k/b.ko:", 1)]),
        "modules.alias.bin": trie.encode([("pci:v_[a-c]_*", "a", 0)]),
        "modules.symbols.bin": trie.encode([("symbol:f", "b", 1)]),
        "modules.builtin.bin": trie.encode([("ext4", "", 0)]),
        "modules.builtin.alias.bin": trie.encode(
            [("fs_ext4", "ext4", 0), ("pci:v1", "virtio_pci", 0)]
        ),
    }

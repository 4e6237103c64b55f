import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import DocumentError, SampanError, UsageError
from sampan.machine import (
    Accelerator,
    Arch,
    Disk,
    DiskFormat,
    Forward,
    MachineSpec,
    Network,
    Share,
    Vsock,
    document,
)

names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs", "Cc"]),
    min_size=1,
).filter(lambda text: text not in (".", ".."))
paths = names.map(lambda name: Path("/srv") / name)
specs = st.builds(
    MachineSpec,
    kernel=paths,
    initrd=st.none() | paths,
    cmdline=names,
    cpus=st.integers(1, 255),
    mem_mib=st.integers(32, 1 << 20),
    arch=st.sampled_from(Arch),
    accel=st.none() | st.sampled_from(Accelerator),
    network=st.sampled_from(Network),
    publish=st.lists(
        st.builds(Forward, host_port=st.integers(0, 65535), guest_port=st.integers(1, 65535)),
        max_size=2,
    ).map(tuple),
    disks=st.lists(
        st.builds(
            Disk, path=paths, format=st.sampled_from(DiskFormat), read_only=st.booleans()
        ),
        max_size=2,
    ).map(tuple),
    discs=st.lists(paths, max_size=2).map(tuple),
    shares=st.lists(st.builds(Share, source=paths, tag=names), max_size=1).map(tuple),
    vsock=st.none() | st.builds(Vsock, ports=st.just((1, 2374)), folder=st.none() | paths),
    agent=st.booleans(),
    name=names,
    reboots=st.booleans(),
)  # fmt: skip


@settings(max_examples=40)
@given(specs)
def test_what_is_written_can_be_read(spec):
    assert document.from_json(document.to_json(spec), name="x") == spec
    assert document.from_yaml(document.to_yaml(spec).encode(), name="x") == spec
    assert document.from_yaml(document.to_json(spec), name="x") == spec


def test_all_fields_are_written():
    said = json.loads(document.to_json(MachineSpec(kernel=Path("/k"), reboots=False)))
    assert set(said) == set(MachineSpec.__struct_fields__)
    assert (said["kernel"], said["initrd"], said["reboots"]) == ("/k", None, False)
    assert document.to_yaml(MachineSpec(kernel=Path("/k"))).startswith("kernel: /k\n")


def test_files(tmp_path):
    (tmp_path / "vm.yml").write_text("kernel: k\ndisks:\n  - path: /data.img\n")
    (tmp_path / "vm.json").write_text('{"kernel": "k"}')
    spec = document.load(tmp_path / "vm.yml")
    assert spec.kernel == tmp_path / "k"
    assert spec.disks == (Disk(path=Path("/data.img")),)
    assert document.load(tmp_path / "vm.json").kernel == tmp_path / "k"
    with pytest.raises(SampanError, match=r"gone\.yml: cannot be read: No such file"):
        document.load(tmp_path / "gone.yml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "1:1: object missing required field `kernel`"),
        ("kernel: 3", "1:9: kernel: expected a path, got 3"),
        ("kernel: ''", "1:9: kernel: expected a path, got ''"),
        ("kernel: k\ncpu: 2", "2:1: object contains unknown field `cpu`"),
        ("kernel: k\ncpus: two", "2:7: cpus: expected `int`, got `str`"),
        ("kernel: k\nname: yes", "2:7: name: expected `str`, got `bool`"),
        ("kernel: k\narch: vax", "2:7: arch: invalid enum value 'vax'"),
        (
            "kernel: k\ndisks:\n- path: d\n  size: 1",
            "4:3: disks[0]: object contains unknown field `size`",
        ),
        ("kernel: k\nkernel: l", "2:1: not YAML: the key 'kernel' is there twice"),
        ("kernel: &a k\ninitrd: *a", "2:9: not YAML: aliases are not taken"),
        ("kernel: [", "2:1: not YAML: did not find expected node content"),
        ("kernel: 2000-99-99", "1:1: not YAML: month must be in 1..12"),
        ("[" * 500, "1:1: nested too deeply"),
        ("kernel: !!python/object:os.system x", "1:9: not YAML: could not"),
        ("? [a]\n: b", "1:3: not YAML: a key has to be text"),
        ("a: " + "9" * 5000, "1:1: not YAML: Exceeds the limit"),
        ("", "1:1: expected `object`, got `null`"),
        ("#" * (document.MAX_BYTES + 1), "1:1: longer than 1024 KiB"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(DocumentError) as caught:
        document.from_yaml(text.encode(), name="vm.yml")
    assert caught.value.message.startswith(f"vm.yml:{message}"), caught.value.message


@pytest.mark.parametrize("data", [b"\xff", b"{", b'{"kernel": "a\\u0000b"}', b"[" * 5000])
def test_json_that_is_none(data):
    with pytest.raises(DocumentError, match=r"^vm\.json:1:\d+: "):
        document.from_json(data, name="vm.json")
    with pytest.raises(DocumentError, match=r"^vm\.json:\d:\d+: "):
        document.from_yaml(data, name="vm.json")
    with pytest.raises(UsageError, match=r"^vm\.json: "):
        document.decode(data, MachineSpec, name="vm.json")


def test_paths_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = MachineSpec(
        kernel=Path("k"),
        initrd=Path("i"),
        discs=(Path("d.iso"),),
        disks=(Disk(path=Path("d.img")),),
        shares=(Share(source=Path("s"), tag="s"),),
        vsock=Vsock(folder=Path("v")),
    )
    rooted = document.rooted(spec)
    assert rooted == document.rooted(rooted)
    assert document.to_json(rooted).count(str(tmp_path).encode()) == 6
    assert document.rooted(MachineSpec(kernel=Path("/k"))) == MachineSpec(kernel=Path("/k"))


def test_a_path_that_no_document_can_say():
    with pytest.raises(UsageError, match="is not UTF-8"):
        document.to_json(MachineSpec(kernel=Path("/k\udcff")))


def test_the_hooks_know_paths_only():
    assert document.enc(Path("/a")) == "/a"
    assert document.dec(Path, "b", folder=Path("/a")) == Path("/a/b")
    with pytest.raises(NotImplementedError):
        document.dec(int, 3)

from pathlib import Path

import pytest

from sampan.desktop import bundle
from sampan.errors import ExitCode, SampanError
from sampan.machine.model import Arch

PARTS = {
    "web-kernel": b"kernel",
    "web-initrd.img": b"initrd",
    "web-cmdline": b"console=ttyS0 a=b\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build(folder, *, without=()):
    for name, content in PARTS.items():
        if name not in without:
            (folder / name).write_bytes(content)


def refused(name):
    with pytest.raises(SampanError) as caught:
        bundle.find(Path(name))
    return caught.value


def test_a_system(folder):
    build(folder)
    assert bundle.find(Path("web")) == bundle.Bundle(
        kernel=Path("web-kernel"),
        initrd=Path("web-initrd.img"),
        cmdline="console=ttyS0 a=b",
        arch=None,
    )
    assert bundle.find(folder / "web").kernel == folder / "web-kernel"


@pytest.mark.parametrize("name", ["", ".", "/", "..", "a/.."])
def test_folders_are_no_names(folder, name):
    assert refused(name).exit_code is ExitCode.USAGE
    assert "is a folder" in refused(name).message


def test_a_name_with_dots(folder):
    build(folder)
    for name in PARTS:
        (folder / name).rename(folder / name.replace("web", "web.v1.2"))
    assert bundle.find(Path("web.v1.2")).initrd == Path("web.v1.2-initrd.img")


@pytest.mark.parametrize(
    ("magic", "offset", "arch"), [(b"HdrS", 0x202, Arch.AMD64), (b"ARM\x64", 56, Arch.ARM64)]
)
def test_kernels_tell_their_architecture(folder, magic, offset, arch):
    kernel = folder / "kernel"
    kernel.write_bytes(bytes(offset) + magic + bytes(1000))
    assert bundle.kernel_arch(kernel) is arch
    kernel.write_bytes(b"\x1f\x8b compressed")
    assert bundle.kernel_arch(kernel) is None


def test_a_description_is_no_system(folder):
    (folder / "web.yml").touch()
    error = refused("web.yml")
    assert error.exit_code is ExitCode.USAGE
    assert error.message == "web.yml describes a system; it has to be built before it can run"
    assert error.hint.startswith("sampan build web.yml, then: sampan run web; ")
    (folder / "web.json").touch()
    for name in ("web.yml", "web.json"):
        assert refused(name).hint.endswith(f"if it describes a machine: sampan run --spec {name}")


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (("web-cmdline",), "cannot run web: web-cmdline is missing"),
        (
            ("web-initrd.img", "web-cmdline"),
            "cannot run web: web-initrd.img and web-cmdline are missing",
        ),
        (tuple(PARTS), "there is no system web: web-kernel is missing"),
    ],
)
def test_missing_parts_are_named(folder, without, message):
    build(folder, without=without)
    error = refused("web")
    assert error.message == message
    assert error.hint == "build it first: sampan build web.yml"


def test_one_part_is_not_the_whole(folder):
    build(folder)
    assert refused("web-initrd.img").hint == "name the whole: sampan run web"


@pytest.mark.parametrize("name", ["web.iso", "web.qcow2", "disk.img"])
def test_other_outputs_do_not_run_yet(folder, name):
    (folder / name).touch()
    error = refused(name)
    assert error.message == f"cannot run {name} yet: only kernel+initrd outputs boot"


def test_other_outputs_under_the_name(folder):
    (folder / "web-squashfs.img").touch()
    error = refused("web")
    assert error.message == "cannot run web-squashfs.img yet: only kernel+initrd outputs boot"
    assert error.hint == "build web with --format kernel+initrd"


@pytest.mark.parametrize("content", [b"a\0b", b"x" * 70_000])
def test_a_command_line_that_is_none(folder, content):
    build(folder)
    (folder / "web-cmdline").write_bytes(content)
    assert refused("web").message == "web-cmdline is not a kernel command line"


def test_the_machine_of_a_system(tmp_path):
    for part in ("-kernel", "-initrd.img"):
        (tmp_path / f"web{part}").write_bytes(b"")
    (tmp_path / "web-cmdline").write_text("quiet\n")
    made = bundle.spec(tmp_path / "web", mem_mib=64)
    assert (made.name, made.cmdline, made.mem_mib) == ("web", "quiet", 64)
    assert made.kernel == tmp_path / "web-kernel"

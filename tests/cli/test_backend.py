"""Hypervisors by name, and the command lines they would run."""

import shlex
from pathlib import Path

import pytest

from sampan.cli import backend
from sampan.cli.backend import Backend
from sampan.desktop.link import Link
from sampan.errors import UsageError

X86 = bytes(0x202) + b"HdrS" + bytes(0x100)


@pytest.fixture
def web(tmp_path):
    """A system in the current folder that is never run."""
    (tmp_path / "web-kernel").write_bytes(X86)
    (tmp_path / "web-initrd.img").write_bytes(b"")
    (tmp_path / "web-cmdline").write_text("console=ttyS0")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "chosen", "path"),
    [
        (("web",), Backend.QEMU, "web"),
        (("qemu", "web"), Backend.QEMU, "web"),
        (("vfkit", "web"), Backend.VFKIT, "web"),
        (("virtualization", "web"), Backend.VFKIT, "web"),
        (("virtualization.framework", "web"), Backend.VFKIT, "web"),
        (("hyperkit", "a/web"), Backend.HYPERKIT, "a/web"),
    ],
)
def test_names(words, chosen, path):
    assert backend.split(words) == (chosen, Path(path))


@pytest.mark.parametrize("words", [("vfkit",), ("web", "db"), ("qemu", "web", "db")])
def test_no_system_or_several(words):
    with pytest.raises(UsageError) as caught:
        backend.split(words)
    assert caught.value.hint


def test_a_document_instead_of_a_system():
    assert backend.split((), Path("a/vm.yml")) == (Backend.QEMU, Path("a/vm"))
    assert backend.split(("vfkit",), Path("vm.json")) == (Backend.VFKIT, Path("vm"))
    for words in (("web",), ("qemu", "web")):
        with pytest.raises(UsageError, match=r"web and the machine of vm\.yml at once"):
            backend.split(words, Path("vm.yml"))
    with pytest.raises(UsageError, match="is missing"):
        backend.split(())


def test_a_hypervisor_that_was_meant():
    with pytest.raises(UsageError) as caught:
        backend.split(("qemuu", "web"))
    assert caught.value.hint == "did you mean 'qemu'?"


@pytest.mark.parametrize("chosen", list(Backend))
def test_each_has_a_driver_of_its_name(chosen):
    assert backend.driver(chosen, virtiofsd=None, state=None).name == chosen
    assert chosen.link in chosen.links.values()


def test_links():
    assert Backend.VFKIT.link is Link.DATAGRAM
    assert Backend.HYPERKIT.link is Link.VPNKIT
    assert set(Backend.QEMU.links) == {"stream", "vhost-user"}


def preview(sampan, *words):
    done = sampan("run", "--dry-run", *words)
    assert (done.status, done.err) == (0, "")
    return shlex.split(done.out)


def test_what_qemu_would_run(sampan, web):
    argv = preview(sampan, "--accel", "tcg", "--cpus", "2", "--networking", "user", "web")
    assert argv[0] == "qemu-system-x86_64"
    assert argv[argv.index("-smp") + 1] == "2"
    assert argv[argv.index("-kernel") + 1] == "web-kernel"


def test_what_vfkit_would_run(sampan, web, runtime_root, monkeypatch):
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime_root))
    folder = f"{runtime_root}/vm-000000"
    assert preview(sampan, "virtualization", "--networking", "none", "web") == [
        "vfkit", "--cpus", "1", "--memory", "1024",
        "--bootloader",
        'linux,kernel=web-kernel,initrd=web-initrd.img,cmdline="console=ttyS0 console=hvc0"',
        "--restful-uri", f"unix://{folder}/qmp",
        "--device", "virtio-rng", "--device", "virtio-serial,stdio",
    ]  # fmt: skip
    assert any(f"unixSocketPath={folder}/net" in word for word in preview(sampan, "vfkit", "web"))
    assert any(
        "virtio-net,nat" in w for w in preview(sampan, "vfkit", "-networking", "vmnet", "web")
    )


def test_what_hyperkit_would_run(sampan, web):
    argv = preview(sampan, "hyperkit", "web")
    assert argv[:3] == ["hyperkit", "-A", "-u"]
    assert any("virtio-vpnkit,path=" in word for word in argv)
    assert argv[-1] == "kexec,web-kernel,web-initrd.img,earlyprintk=serial console=ttyS0"


def test_devices_are_named_and_not_made(sampan, web):
    (web / "there.img").write_bytes(bytes(1 << 20))
    argv = preview(
        sampan, "vfkit", "-networking", "none", "-disk", "there.img", "-disk", "size=1G,format=raw",
        "-data", "x", "web",
    )  # fmt: skip
    assert f"virtio-blk,path={web}/there.img" in argv
    assert f"virtio-blk,path={web}/web-state/disk1.img" in argv
    assert f"usb-mass-storage,path={web}/web-state/data.iso,readonly" in argv
    assert not (web / "web-state").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qemu", "driver=qcow2,"),
        ("vfkit", "virtio-blk,path={}/web-state/disk0.img"),
        ("hyperkit", "2:0,virtio-blk,{}/web-state/disk0.img"),
    ],
)
def test_new_disks_are_kept_as_the_hypervisor_likes_it(sampan, web, name, said):
    argv = preview(sampan, name, "--disk", "size=1G", "web")
    assert [word for word in argv if said.format(web) in word]
    assert [word for word in argv if "disk0.img" in word and "format=qcow" in word] == []


def test_what_the_hypervisor_cannot_is_refused_before_it_is_made(sampan, web):
    done = sampan("run", "vfkit", "--disk", "size=1G,format=qcow2", "web")
    assert (done.status, done.err.splitlines()[0]) == (
        1, "sampan: vfkit cannot do qcow2: its driver has no such capability",
    )  # fmt: skip
    assert not (web / "web-state").exists()


@pytest.mark.parametrize("name", ["vfkit", "hyperkit", "virtualization.framework"])
def test_on_linux_it_says_what_they_would_need(sampan, web, name, runtime_root, monkeypatch):
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime_root))
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    done = sampan("run", name, "web")
    assert done.status == 3
    assert "is not installed" in done.err
    assert "never run on a Mac" in done.err


def test_what_cannot_be_said_is_refused_beforehand(sampan, web):
    (web / "a,b-kernel").write_bytes(X86)
    (web / "a,b-initrd.img").write_bytes(b"")
    (web / "a,b-cmdline").write_text("")
    done = sampan("run", "--dry-run", "vfkit", "a,b")
    assert done.status == 1
    assert "with a comma or a double quote in its name (a,b-" in done.err

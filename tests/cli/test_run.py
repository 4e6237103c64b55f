import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

COMMAND = (
    sys.executable,
    "-c",
    "import sys; from sampan.cli.main import main; sys.exit(main())",
    "run",
)
X86 = "\0" * 0x202 + "HdrS\n"


@pytest.fixture
def system(tmp_path, fake_qemu, runtime_root, monkeypatch):
    """Makes a system `web` in the current folder whose kernel acts out the given steps."""
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime_root))
    monkeypatch.setenv("SAMPAN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def built(*steps):
        (tmp_path / "web-kernel").write_text("\n".join(steps))
        (tmp_path / "web-initrd.img").write_bytes(b"")
        (tmp_path / "web-cmdline").write_text("console=ttyS0")

    return built


def run(*words, **options):
    """`sampan run` in a process of its own, its output in a pipe."""
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("words", [("web",), ("qemu", "web"), ("-kernel", "-cpus=2", "web")])
def test_a_clean_power_off_is_status_0(system, words):
    system("say \x1b[1mhello", "poweroff")
    done = run("--accel", "tcg", *words)
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr == "sampan: web starts on tcg\n"


def test_why_it_is_slow_and_where_ports_are(system):
    system("poweroff")
    done = run("-publish", "0:80", "-publish", "0.0.0.0:0:53/udp", "web", "--arch", "amd64")
    assert done.returncode == 0
    web, dns = done.stderr.splitlines()[1:]
    assert re.fullmatch(r"sampan: 127\.0\.0\.1:\d+/tcp is port 80 of the guest", web)
    assert re.fullmatch(r"sampan: 0\.0\.0\.0:\d+/udp is port 53 of the guest", dns)


def test_devices_and_the_console_in_a_file(system, tmp_path):
    system("say hello", "poweroff")
    words = ("-disk", "data.img,size=1M,format=raw", "-data", "text", "-console-file", "-usb")
    done = run("--accel", "tcg", "-device", "edu", *words, "web")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "data.img").stat().st_size == 1 << 20
    kept = sorted(each.name for each in (tmp_path / "web-state").iterdir())
    assert {"console.log", "data.iso"} <= set(kept)
    assert (tmp_path / "web-state" / "console.log").read_text() == "hello\n"


def test_all_forms_of_published_ports(system, tmp_path):
    system("poweroff")
    done = run("-publish", "[::1]:0:80", "-publish", f"{tmp_path}/s:81", "web", "--arch", "amd64")
    six, path = done.stderr.splitlines()[1:]
    assert re.fullmatch(r"sampan: \[::1\]:\d+/tcp is port 80 of the guest", six)
    assert path == f"sampan: {tmp_path}/s is port 81 of the guest"
    assert not (tmp_path / "s").exists()


def test_its_network_can_be_reached(system, started, tmp_path):
    system("say up", "button", "poweroff")
    children = [started("web")]
    assert children[0].stdout.readline() == "up\n"
    children.append(started("web"))
    assert children[1].stdout.readline() == "up\n"
    for name in ("web-2", "web"):
        command = [*COMMAND[:-1], "net", "shutdown", "--name", name]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (asked.returncode, asked.stderr) == (0, "")
    for each, name in zip(children, ("web", "web-2"), strict=True):
        assert each.communicate(timeout=60)[1].startswith(f"sampan: {name} starts on ")
        assert each.returncode == 0


def test_qemus_own_network(system):
    system("poweroff")
    done = run("-publish", "0:80", "-networking", "user", "web", "--arch", "amd64")
    assert done.stderr.splitlines()[1:] == ["sampan: 127.0.0.1:40080/tcp is port 80 of the guest"]


def test_quiet(system):
    system("say hello", "poweroff")
    assert run("-q", "web").stderr == ""


def test_events_as_json(system):
    system("say hello", "poweroff")
    done = run("--json", "--accel", "tcg", "web")
    started, ended = map(json.loads, done.stderr.splitlines())
    assert done.stdout == "hello\n"
    assert (started["event"], started["accel"], started["forwards"]) == ("started", "tcg", [])
    assert ended == {"event": "ended", "end": {"ending": "powered-off", "detail": ""}}


def test_a_hypervisor_that_dies(system):
    system("complain no memory", "exit 1")
    done = run("web")
    assert done.returncode == 1
    assert done.stderr.endswith("sampan: QEMU ended with status 1: no memory\n")


def test_a_guest_that_panics(system):
    system(
        "say Kernel panic - not syncing: VFS",
        "event {}".format('{"event": "GUEST_PANICKED"}'),
        "exit 0",
    )
    done = run("web")
    assert done.returncode == 1
    assert "panic" in done.stderr


@pytest.fixture
def started():
    """Start `sampan run`, its output in pipes; what still runs after the test is killed."""
    children: list[Any] = []

    def start(*words):
        child = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()


@pytest.mark.parametrize(
    ("number", "steps", "status", "last"),
    [
        (signal.SIGTERM, ("button", "poweroff"), 0, "power button pressed"),
        (signal.SIGINT, ("button", "poweroff"), 130, "power button pressed"),
        (signal.SIGTERM, ("hang",), 1, "the guest did not power off within 0.1 s, and was ended"),
    ],
)
def test_signals(system, started, number, steps, status, last):
    system("say up", *steps)
    child = started("--stop-timeout", "0.1" if "hang" in steps else "30", "web")
    assert child.stdout.readline() == "up\n"
    os.kill(child.pid, number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == status
    assert last in said


def test_a_reader_that_leaves_does_not_end_the_machine(system, started):
    system("say up", "button", "say " + "x" * 3000, "poweroff")
    child = started("web")
    child.stdout.readline()
    child.stdout.close()
    child.terminate()
    assert child.wait(timeout=60) == 0


def test_a_taken_port(system):
    system("poweroff")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("-publish", f"{port}:80", "web")
    assert done.returncode == 1
    assert done.stderr.startswith(f"sampan: port {port}/tcp of 127.0.0.1 is taken by ")
    assert f"(process {os.getpid()})" in done.stderr


def test_no_qemu(sampan, system, monkeypatch):
    system("poweroff")
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    done = sampan("run", "--arch", "amd64", "web")
    assert done.status == 3
    assert "qemu-system-x86_64 is not installed" in done.err
    assert "apt install qemu-system-x86" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("web.yml",), "web.yml describes a system; it has to be built before it can run"),
        (("-disk", "size=banana", "web"), "'banana' is not a size"),
        (("-data-file", "missing", "web"), "cannot read missing: No such file"),
        (("-uefi", "web"), "--uefi is not there yet"),
        (("-iso", "web"), "this version runs kernel+initrd systems only"),
        (("-squashfs", "web"), "--squashfs is not there yet"),
        (("-fw", "OVMF.fd", "web"), "--fw is not there yet"),
        (("qemu",), "the name of the system is missing"),
        (("web", "db"), "cannot run several systems at once: web db"),
        (("-mem", "much", "web"), "--mem: 'much' is not a size"),
        (("-mem", "8", "web"), "8 MiB of memory is too little for any Linux kernel"),
        (("-cpus", "0", "web"), "a machine cannot have 0 cpus"),
        (("-accel", "warp", "web"), "--accel: 'warp' names no accelerator"),
        (("-arch", "vax", "web"), "cannot run machines of architecture 'vax'"),
        (("-arch", "arm64", "web"), "web-kernel is a kernel for amd64, not arm64"),
        (("-publish", "x", "web"), "cannot forward 'x': it has no guest port"),
        (("-networking", "vmnet", "web"), "vmnet belongs to hypervisors of macOS"),
        (("-networking", "tap", "web"), "on the network tap needs an interface of the host"),
        (("-networking", "x", "web"), "--networking: 'x' is no kind of network"),
        (("-networking", "vpnkit,fast", "web"), "--networking: 'fast' says nothing about vpnkit"),
        (("-networking", "user,/a", "web"), "--networking: '/a' says nothing about user"),
        (("-networking", "user", "-mtu", "1400", "web"), "take our own network, not user"),
        (("-networking", "vpnkit,/a", "-publish", "1:1", "web"), "somebody else's to configure"),
        (("-mtu", "1", "web"), "an MTU of 1 is not from 576"),
        (("-networking", "none", "-publish", "1:1", "web"), "publishes no ports"),
        (("-networking", "user", "-ip", "10.0.2.9", "web"), "takes our own network, not user"),
        (("-ip", "8.8.8.8", "web"), "no address of a station in 192.168.65.0/24"),
        ((), "the name of the system is missing"),
    ],
)
def test_wrong_usage_is_status_2(sampan, system, words, message):
    system(X86)
    done = sampan("run", *words)
    assert done.status == 2
    assert message in done.err


def test_too_little_memory(sampan, system, tmp_path):
    system("poweroff")
    # a cpio archive of one file of 64 MiB, which is a hole
    header = b"070701" + b"0" * 48 + b"04000000" + b"0" * 32 + b"00000002" + b"0" * 8 + b"a\0"
    with (tmp_path / "web-initrd.img").open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + (64 << 20))
    done = sampan("run", "--mem", "100", "web")
    assert done.status == 1
    assert "100 MiB of memory is too little: the kernel could not unpack web-initrd.img" in done.err
    assert "256 MiB would do (--mem 256)" in done.err

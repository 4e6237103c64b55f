"""The commands that LinuxKit's users typed, with `sampan` in place of the tool's name.

`TABLE` has a row for each: the test that does what it says there, or why it waits. A row that
waits for a flag or a format names the command too, and is refused by name.
"""

import ast
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from sampan.base import proc
from sampan.base.loop import Loop
from sampan.net.runtime.forward.line import Held
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.services.forward import Forward

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
TESTS = Path(__file__).parents[1]
SYSTEM = Path(__file__).parent / "systems" / "linuxkit.yml"
COMMAND = (sys.executable, "-m", "sampan")
BOOT_S = 300
MIB = 1 << 20


class Row(NamedTuple):
    """What was typed; the test that shows it (`FILE::NAME` elsewhere), or why it waits."""

    typed: str
    shown_by: str = ""
    waits: str = ""
    refused: str = ""  # a command that is refused until then


FORMATS = "another output format"
DESKTOP = "the Docker desktop"
TABLE = (
    Row("sampan build linuxkit.yml", "test_build"),
    Row("sampan build FILE-OF-2017.yml", "cli/test_build.py::test_formats_that_are_not_there"),
    Row("sampan build --format raw-bios linuxkit.yml", waits=FORMATS, refused="build --format raw-bios {yml}"),
    Row("sampan build -format iso-efi linuxkit.yml", waits=FORMATS, refused="build -format iso-efi {yml}"),
    Row("sampan run qemu linuxkit", "test_the_console_has_a_shell"),
    Row("sampan run linuxkit", "guest/test_network_run.py::test_the_smallest_example_shows_its_page"),
    Row("sampan run -squashfs linuxkit", waits=FORMATS, refused="run -squashfs {system}"),
    Row("sampan run --iso --uefi linuxkit-efi.iso", waits=FORMATS, refused="run --iso --uefi {system}-efi.iso"),
    Row("sampan run -disk size=1G …", "test_disks_in_their_order"),
    Row("sampan run -disk data.img,size=2G,format=raw", "test_disks_in_their_order"),
    Row("persistent disks", "guest/test_device.py::test_the_second_boot_finds_what_the_first_one_left"),
    Row("sampan run -publish 2222:22/tcp sshd; ssh -p 2222 root@localhost", "test_ssh"),
    Row(
        "sampan run -publish … -networking vpnkit vpnkit-forwarder",
        "guest/test_expose_port.py::test_the_page",
    ),
    Row("… which exposes ports by the 9P mount /port", waits="9P; sampan net expose is there"),
    Row("sampan run -networking docker-for-mac …", "guest/test_network_run.py::test_the_network_that_machines_share"),
    Row("sampan run -ip 192.168.65.10 …", "test_its_address"),
    Row("docker run --rm -ti -v ~/.ssh:/root/.ssh ssh ssh <IP address of VM>", waits=DESKTOP),
    Row("docker run … -p 6379:6379 socat tcp-listen:6379,reuseaddr,fork tcp:<IP>:6379", waits=DESKTOP),
    Row("sampan run -data 'text' …", "test_metadata"),
    Row("sampan run -data-file FILE …", "cli/test_device.py::test_the_file_of_metadata"),
    Row("sampan run qemu -vsock-ports 2374 vsudd", "test_ctr_on_the_host"),
    Row("ctr -a vsudd-state/guest.00000946 -n services.linuxkit tasks ls", "test_ctr_on_the_host"),
    Row("ctr -n services.linuxkit tasks ls in the guest", "test_ctr_in_the_guest"),
    Row("ctr -n services.linuxkit tasks exec -t --exec-id 1 docker-ce sh", waits=DESKTOP),
    Row("screen <state>/tty", "machine/supervise/test_tty.py::test_looking_and_typing"),
    Row("sampan run linuxkit > log; … | tee log", "cli/test_run.py::test_a_clean_power_off_is_status_0"),
    Row("sampan run -console-file linuxkit", "cli/test_run.py::test_devices_and_the_console_in_a_file"),
    Row("kill -TERM <sampan run>", "test_sigterm_is_the_power_button"),
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.typed)
def test_every_row_is_shown_or_waits(row, linuxkit, environment):
    assert bool(row.shown_by) != bool(row.waits)
    if row.shown_by:
        file, _, name = row.shown_by.rpartition("::")
        tree = ast.parse((TESTS / file if file else Path(__file__)).read_text())
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    if row.refused:
        words = [word.format(yml=SYSTEM, system=linuxkit) for word in row.refused.split()]
        done = subprocess.run(
            [*COMMAND, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in (1, 2), "it is there: say in the table what shows it"
        assert "yet" in done.stderr


class Running:
    """A `sampan run` whose terminal is ours."""

    def __init__(self, words, environment):
        self.terminal, theirs = pty.openpty()
        self.child = subprocess.Popen(
            [*COMMAND, "run", *words],
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(self.child.stderr.fileno(), False)
        self.shown = self.said = ""

    def wait_for(self, pattern):
        """Read on until the console has shown `pattern`."""
        deadline = time.monotonic() + BOOT_S
        while re.search(pattern, self.shown) is None:
            left = deadline - time.monotonic()
            assert left > 0, self.shown + self.said
            if select.select([self.terminal], [], [], left)[0]:
                data = os.read(self.terminal, 65536).decode(errors="replace")
                self.shown += data.replace("\r", "")
            self.said += (self.child.stderr.read() or b"").decode()

    def type(self, text):
        """Type a line."""
        os.write(self.terminal, text.encode() + b"\n")

    @property
    def port(self):
        """The published port, as it said it."""
        return re.search(r":(\d+)/tcp is port 22 ", self.said)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def environment(folder):
    """A state and a runtime folder of our own, and the tests' cache of images."""
    cache = os.environ.get("SAMPAN_TEST_CACHE") or f"/tmp/sampan-test-cache-{os.getuid()}"
    return {
        **os.environ,
        "SAMPAN_RUNTIME_DIR": str(folder / "r"),
        "SAMPAN_STATE_DIR": str(folder / "state"),
        "SAMPAN_CACHE": f"{cache}/images",
    }


@pytest.fixture(scope="module")
def build(folder, environment):
    """What `sampan build linuxkit.yml` says."""
    words = [*COMMAND, "build", "--dir", str(folder), str(SYSTEM)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def linuxkit(build, folder):
    return str(folder / "linuxkit")


@pytest.fixture(scope="module")
def key(folder):
    path = folder / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def running(linuxkit, environment, folder, key):
    """One machine with all flags at once."""
    public = key.with_suffix(".pub").read_text()
    data = {"ssh": {"entries": {"authorized_keys": {"perm": "0600", "content": public}}}}
    words = [
        "qemu", "-disk", f"{folder}/data.img,size=32M,format=raw", "-disk", "size=48M",
        "-publish", "0:22/tcp", "-vsock-ports", "2374,62373", "-ip", "192.168.65.10", "-data", json.dumps(data),
        "-mem", "512", "-accel", "tcg", "-stop-timeout", "120", linuxkit,
    ]  # fmt: skip
    machine = Running(words, environment)
    try:
        machine.wait_for("running, .* after boot")
        yield machine
    finally:
        machine.child.kill()
        machine.child.wait()
        machine.child.stderr.close()
        os.close(machine.terminal)


@pytest.fixture
def ssh(running, key, await_ssh):
    """What a command prints that ssh runs in the machine."""
    await_ssh(int(running.port))
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
    words = ["ssh", "-i", key, "-p", running.port, *(f"-o{each}" for each in options)]

    def run(command):
        done = subprocess.run(
            [*words, "root@localhost", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + running.shown[-2000:]
        return done.stdout

    return run


def test_build(build, folder):
    names = {"linuxkit-kernel", "linuxkit-initrd.img", "linuxkit-cmdline"}
    assert names <= {each.name for each in folder.iterdir()}
    assert {Path(line).name for line in build.stdout.splitlines()} == names


def test_the_console_has_a_shell(running):
    running.type("")
    running.wait_for(r"\(ns: getty\)")
    running.type("ps; echo do''ne")
    running.wait_for("\ndone")
    for process in ("init", "dropbear", "acpid", "host-timesync"):
        assert process in running.shown


def test_ssh(ssh):
    assert ssh("echo $USER in $(ls -d /containers)") == "root in /containers\n"


def test_disks_in_their_order(ssh, linuxkit):
    assert ssh("cat /sys/block/vda/size /sys/block/vdb/size") == f"{32 * 2048}\n{48 * 2048}\n"
    assert "/dev/vda1 /var/lib/data ext4" in ssh("cat /proc/1/mounts")
    assert [each.name for each in Path(f"{linuxkit}-state").glob("*.img")] == ["disk1.img"]


@pytest.mark.skipif(not proc.has_tool("ctr"), reason="no ctr")
def test_ctr_on_the_host(running, linuxkit):
    """The guest's containerd, through vsock, by the program that is made for it."""
    address = Path(f"{linuxkit}-state/guest.00000946")
    assert address.is_socket()
    words = ["ctr", "-a", str(address), "-n", "services.linuxkit", "tasks", "ls"]
    deadline = time.monotonic() + BOOT_S
    while True:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        assert time.monotonic() < deadline, done.stderr  # it may not listen yet
    assert re.search("^vsudd .*RUNNING", done.stdout, re.MULTILINE), done.stderr


def test_the_forwarder(running, linuxkit, await_ssh):
    """A server of the machine's loopback interface, through vsock and no network."""
    await_ssh(int(running.port))
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(f"{linuxkit}-state/guest.0000f3a5")
        loop = Loop()
        forwards = MultiplexedForwards(loop, Held(loop, stream))
        forward = forwards.expose(Forward(guest_port=22))
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            with socket.create_connection((forward.bind, forward.port), timeout=300) as client:
                assert client.recv(4) == b"SSH-"
        finally:
            loop.submit(forwards.close).result()
            loop.stop()
            thread.join()
            loop.close()


def test_ctr_in_the_guest(ssh):
    listed = ssh("ctr -n services.linuxkit tasks ls")
    for service in ("acpid", "getty", "host-timesync-daemon", "sshd", "vsudd"):
        assert re.search(f"^{service} .*RUNNING", listed, re.MULTILINE)


def test_its_address(ssh):
    assert "inet 192.168.65.10/24" in ssh("ip -4 addr show eth0")


def test_metadata(ssh):
    assert "authorized_keys" in ssh("cat /run/config/userdata")
    assert ssh("cat /run/config/provider") == "cdrom"


def test_init_hears_the_button_and_says_so_to_acpid(ssh):
    assert ssh("until ls /run/acpid.pid 2>/dev/null; do sleep 1; done") == "/run/acpid.pid\n"


def test_sigterm_is_the_power_button(running):
    running.child.send_signal(signal.SIGTERM)
    running.wait_for("Power down")
    assert running.child.wait(timeout=BOOT_S) == 0


def test_started_again(running, linuxkit, environment):
    """By its name, when it has ended: with its address, its disks and its metadata."""
    if running.child.poll() is None:
        running.child.send_signal(signal.SIGTERM)
    running.child.wait(timeout=BOOT_S)

    def sampan(*words):
        return subprocess.run(
            [*COMMAND, *words], env=environment, capture_output=True, text=True, check=True
        ).stdout

    started = json.loads(sampan("--json", "start", "linuxkit"))
    try:
        assert (started["status"], len(started["ports"])) == ("running", 1)
        following = [*COMMAND, "logs", "--follow", "linuxkit"]
        with subprocess.Popen(following, env=environment, stdout=subprocess.PIPE) as logs:
            shown = iter(logs.stdout.readline, b"")
            for wanted in (
                "eth0 has 192.168.65.10/24",
                "bytes from cdrom",
                "/dev/vda1 (ext4) is at",
            ):
                assert any(wanted in line.decode() for line in shown)
            logs.terminate()
    finally:
        sampan("kill", "linuxkit")
    assert sampan("rm", "linuxkit") == "linuxkit\n"
    assert Path(f"{linuxkit}-state/disk1.img").exists()

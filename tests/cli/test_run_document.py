"""`sampan run --spec`: machines that are written down."""

import json
import shutil
from pathlib import Path

import pytest

from sampan.machine import document

EXAMPLE = Path(__file__).parents[2] / "examples" / "machine" / "web.yml"
RUN = ("run", "--accel", "tcg", "--networking", "user")


@pytest.fixture
def written(machines, tmp_path):
    """The machine of the examples, in a folder of its own, with a system that acts out the steps."""

    def made(*steps):
        folder = tmp_path / "lab"
        folder.mkdir()
        shutil.copy(EXAMPLE, folder)
        (folder / "web-kernel").write_text("\n".join(steps))
        (folder / "web-initrd.img").write_bytes(b"")
        (folder / "data.img").write_bytes(bytes(1 << 20))
        return folder / "web.yml"

    return made


def test_the_example(written, machines):
    done = machines.run(*RUN, "-spec", str(written("say hello", "poweroff")))
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr.splitlines() == [
        "sampan: web starts on tcg", "sampan: 127.0.0.1:40080/tcp is port 80 of the guest",
    ]  # fmt: skip


def test_what_a_system_would_be_run_as_can_be_run(machines, sampan):
    name = machines.system("web", "say hello", "hang")
    words = ("--cpus", "2", "--publish", "0:80", "--usb", name)
    said = sampan("--json", "run", "--dry-run", *words)
    assert (said.status, said.err) == (0, "")
    spec = json.loads(said.out)
    assert (spec["cpus"], spec["usb"], spec["name"]) == (2, True, "web")
    assert spec["publish"][0]["guest_port"] == 80
    (machines.folder / "vm.json").write_text(said.out)
    done = machines.run(*RUN, "-d", "--mem", "512", "--spec", "vm.json")
    assert (done.returncode, done.stdout) == (0, "web\n")
    record = machines.store.record("web")
    assert (record.made.spec.cpus, record.made.spec.mem_mib, record.made.spec.usb) == (2, 512, True)
    assert record.run.ports[0].guest_port == 80


def test_what_has_to_be_made_is_not_written_down(machines, sampan):
    name = machines.system("web", "hang")
    dry = ("--json", "run", "--dry-run", "--arch", "amd64")
    for flags in (("--disk", "size=1M"), ("--data", "text"), ("--publish", "./web.sock:80")):
        said = sampan(*dry, *flags, name)
        assert (said.status, said.out) == (2, "")
        assert said.error["message"].startswith("a document of a machine can name ")
        assert "say it when the document is run" in said.error["hint"]
    (machines.folder / "there.img").write_bytes(bytes(1 << 20))
    spec = json.loads(sampan(*dry, "--disk", "there.img", name).out)
    assert spec["disks"][0]["path"] == str(machines.folder / "there.img")


def test_a_machine_says_what_it_is_and_that_can_be_run(written, machines, sampan):
    path = written("say hello", "button", "poweroff")
    assert machines.run(*RUN, "-d", "--name", "lab", "--spec", str(path)).stdout == "lab\n"
    shown = sampan("inspect", "-spec", "lab").out
    sampan("stop", "lab")
    again = path.parent / "again.json"
    again.write_text(shown)
    spec = document.load(again)
    assert (spec.name, spec.disks[0].path, spec.publish[0].guest_port) == (
        "lab", path.parent / "data.img", 80,
    )  # fmt: skip
    assert machines.run(*RUN, "-d", "--spec", str(again)).stdout == "lab\n"
    assert sampan("inspect", "--spec", "lab").out == shown


def test_started_again(written, machines, sampan):
    done = machines.run(*RUN, "-d", "--spec", str(written("say hello", "button", "poweroff")))
    assert done.stdout == "web\n"
    sampan("stop", "web")
    assert sampan("start", "web").out == "web\n"


def test_flags_come_on_top(written, machines, sampan):
    path = written("hang")
    words = ("--cpus", "1", "--disk", "size=1M,format=raw", "--data", "text", "--name", "lab")
    assert machines.run(*RUN, "-d", *words, "--spec", str(path)).stdout == "lab\n"
    record = machines.store.record("lab")
    assert record.folder == path.with_name("web-state")
    assert record.made.spec.cpus == 1
    assert [each.path.name for each in record.made.spec.disks] == ["data.img", "disk0.img"]
    assert [each.name for each in record.made.spec.discs] == ["data.iso"]


def test_on_a_mac(written, sampan):
    path = written()
    said = sampan("run", "--dry-run", "vfkit", "--spec", path)
    assert said.status == 1, "the example has an agent"
    path.write_text(path.read_text().replace("agent: true", "agent: false"))
    said = sampan("run", "--dry-run", "vfkit", "--spec", path)
    assert said.out.startswith("vfkit --cpus 2 --memory 512 ")


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("kernel: k\nmemory: 3\n", 2, "vm.yml:2:1: object contains unknown field `memory`\n"),
        ("kernel: k\nmem_mb: 3\n", 2, "did you mean 'mem_mib'?"),
        ("kernel: {image: x}\n", 2, "a description of a system has to be built before it is run"),
        ("kernel: gone\n", 1, "gone: no such file"),
        ("kernel: k\ncpus: 0\n", 2, "a machine cannot have 0 cpus"),
        ("kernel: k\nnetwork: datagram\n", 2, "'datagram' says nothing about vpnkit"),
    ],
)
def test_what_is_wrong_is_said(sampan, machines, tmp_path, text, status, message):
    (tmp_path / "vm.yml").write_text(text)
    said = sampan("run", "--arch", "amd64", "--spec", "vm.yml")
    assert said.status == status
    assert message in said.err


def test_no_document(sampan, tmp_path):
    said = sampan("run", "--spec", "gone.yml")
    assert said.status == 2
    assert "gone.yml: cannot be read: No such file" in said.err
    said = sampan("run", "web", "--spec", "vm.yml")
    assert (said.status, said.err.splitlines()[0]) == (
        2, "sampan: cannot run web and the machine of vm.yml at once",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["vm.yml", "vm.json"])
def test_a_document_without_the_flag(sampan, tmp_path, name):
    (tmp_path / name).write_text("kernel: k")
    said = sampan("run", name)
    assert said.status == 2
    assert f"if it describes a machine: sampan run --spec {name}" in said.err

import json
from pathlib import Path

import pytest

from sampan.base import proc
from sampan.cli import doctor
from sampan.errors import ToolMissingError
from sampan.machine import selftest


@pytest.fixture
def installed(monkeypatch):
    """The programs that are there, in this test."""
    names = {tool.name for tool in doctor.TOOLS}

    def find(name):
        if name not in names:
            raise ToolMissingError(f"{name} is not installed", hint=f"apt install {name}-package")
        return Path("/usr/bin") / name

    monkeypatch.setattr(proc, "find_tool", find)
    return names


def test_all_is_well(sampan, installed):
    said = sampan("doctor")
    assert (said.status, said.err) == (0, "")
    assert "/usr/bin/qemu-system-x86_64" in said.out


def test_missing_what_is_required(sampan, installed):
    installed.clear()
    said = sampan("doctor")
    assert said.status == 3
    assert "MISSING: apt install apt-get-package" in said.out
    assert "sampan: missing: apt-get, qemu-system-x86_64" in said.err


def test_missing_what_is_optional(sampan, installed):
    installed.remove("docker")
    said = sampan("doctor")
    assert said.status == 0
    assert "no: apt install docker-package" in said.out


def test_as_objects(sampan, installed):
    installed.remove("qemu-system-x86_64")
    said = sampan("doctor", "--json")
    rows = {row["program"]: row for row in map(json.loads, said.out.splitlines())}
    assert set(rows) == {tool.name for tool in doctor.TOOLS}
    assert rows["git"]["path"] == "/usr/bin/git"
    assert rows["qemu-system-x86_64"]["path"] is None
    assert said.error["code"] == 3


def test_every_tool_says_what_it_is_for():
    assert all(tool.purpose for tool in doctor.TOOLS)


@pytest.fixture
def tested(monkeypatch):
    """Which hypervisors are installed, and how they do, in this test."""
    results: dict[str, dict[str, object]] = {}

    def run(driver, arch, *, runtime_root):
        return selftest.Result(driver=driver.name, arch=arch, **results[driver.name])  # type: ignore[arg-type]

    monkeypatch.setattr(selftest, "run", run)
    monkeypatch.setattr(proc, "has_tool", lambda name: name.split("-system")[0] in results)
    return results


def test_hypervisors_are_tried(sampan, tested):
    tested["qemu"] = {"works": True, "accel": "tcg"}
    tested["vfkit"] = {"works": True, "accel": "hvf"}
    said = sampan("doctor", "--selftest")
    assert (said.status, said.err) == (0, "")
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["qemu", "qemu", "vfkit"]


def test_a_hypervisor_that_does_not_work(sampan, tested):
    tested["hyperkit"] = {"works": False, "detail": "no license"}
    said = sampan("doctor", "--selftest")
    assert said.status == 1
    assert "FAILS: no license" in said.out
    assert "does not work here: hyperkit" in said.err
    said = sampan("doctor", "--selftest", "--json")
    assert json.loads(said.out)["detail"] == "no license"


def test_nothing_to_try(sampan, tested):
    assert sampan("doctor", "--selftest").status == 3

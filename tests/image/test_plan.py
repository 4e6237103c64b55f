"""Whole plans: what is in which step, and what changes a step's identity."""

from pathlib import Path

import msgspec
import pytest

from sampan import spec as specs
from sampan.base.entry import Entry, Kind
from sampan.image.listing import list_step
from sampan.image.plan import make_plan
from sampan.image.step import HostFile, KernelFiles, MadeStep, Supplies, TreeStep
from sampan.oci.model import ContainerConfig

YAML = """
kernel: {image: k, cmdline: "quiet"}
init: [base]
onboot: [{name: one, image: app}]
services: [{name: two, image: app}, {name: three, image: other}]
files: [{path: etc/motd, contents: "%s"}]
"""
BIG = b"x" * 5000
APP = {"bin/": None, "bin/app": b"1", "big": BIG}


def load(text=YAML % "hi"):
    return specs.load([specs.Source.text(text, "t")])


@pytest.fixture
def supplies(ingredient):
    config = ContainerConfig(cmd=("/bin/app",))
    kernel = HostFile(Path("/cache/kernel"), 2 << 20, b"k" * 32)
    return Supplies(
        kernel=KernelFiles(kernel, 0o600, ingredient("kernel.tar", {"lib/": None, "lib/m": b""})),
        images={
            "base": ingredient("base", {"etc/": None, "etc/motd": b"old", "init": b""}),
            "app": ingredient("app", APP, config=config),
            "other": ingredient("other", APP | {"own": b""}, config=config),
        },
    )


def ids(plan):
    return {step.name: step.id for step in plan.steps if isinstance(step, TreeStep)}


def test_the_steps_in_their_order(supplies):
    plan = make_plan(load(), supplies)
    assert [step.name for step in plan.steps] == [
        "frame", "kernel", "init[0]", "onboot[0]", "services[1]", "made", "made",
    ]  # fmt: skip
    assert plan.cmdline == "quiet"


def test_a_large_file_of_the_host_is_a_step_of_its_own(supplies):
    [large] = [
        step
        for step in make_plan(load(), supplies).steps
        if isinstance(step, MadeStep) and step.entries[0].entry.name == "boot/kernel"
    ]
    assert len(large.entries) == 1


def written(plan):
    """The entries of a plan by name; each name once and behind its folder."""
    seen: dict[str, Entry] = {}
    for step in plan.steps:
        if isinstance(step, MadeStep):
            entries = [made.entry for made in step.entries]
        else:
            listing = list_step(step)
            entries = [*listing.directories, *(e for e, _ in listing.files), *listing.rest]
        for entry in entries:
            folder = entry.name.rpartition("/")[0]
            assert entry.name not in seen
            assert not folder or seen[folder].kind is Kind.DIRECTORY
            seen[entry.name] = entry
    return seen


def test_every_name_once_and_parents_first(supplies):
    assert {"boot/kernel", "lib/m", "init", "etc/motd"} <= written(
        make_plan(load(), supplies)
    ).keys()


MERGED = {"usr/": None, "usr/lib/": None, "lib": "-> usr/lib", "bin": "-> usr/bin"}


def test_modules_and_files_below_a_link_of_an_image(supplies, ingredient):
    merged = msgspec.structs.replace(supplies, images={"base": ingredient("base", MERGED)})
    text = "kernel: {image: k}\ninit: [base]\nfiles: [{path: lib/own, contents: x}%s]"
    found = written(make_plan(load(text % ""), merged))
    assert {"usr/lib/m", "usr/lib/own"} <= found.keys()
    assert [found[name].mode for name in ("usr", "usr/lib")] == [0o755, 0o755]
    more = ", {path: usr, directory: true, mode: '0711'}, {path: bin/x, contents: x}"
    found = written(make_plan(load(text % more), merged))
    assert (found["usr"].mode, found["usr/bin"].mode) == (0o711, 0o700)


def test_an_inline_file_changes_only_the_step_it_is_in(supplies):
    first, second = (make_plan(load(YAML % text), supplies) for text in ("hi", "ho"))
    changed = [
        ours.name
        for ours, theirs in zip(first.steps, second.steps, strict=True)
        if ours.id != theirs.id
    ]
    assert changed == ["made"]


def test_a_file_over_one_of_an_image_drops_that_one(supplies):
    plan = make_plan(load(), supplies)
    [init] = [step for step in plan.steps if step.name == "init[0]"]
    assert init.drop == {"etc/motd"}


def test_files_that_two_images_have_are_shared(supplies):
    steps = {step.name: step for step in make_plan(load(), supplies).steps}
    assert len(steps["onboot[0]"].shared) == 1
    assert not steps["onboot[0]"].stored
    assert steps["services[1]"].stored == steps["onboot[0]"].shared


def test_the_identity_of_a_tree_has_all_that_determines_it(supplies):
    plan = ids(make_plan(load(), supplies))
    other = YAML.replace("name: one", "name: uno") % "hi"
    assert ids(make_plan(load(other), supplies))["onboot[0]"] != plan["onboot[0]"]
    without = YAML.replace(", {name: three, image: other}", "") % "hi"
    assert ids(make_plan(load(without), supplies))["onboot[0]"] != plan["onboot[0]"]
    assert ids(make_plan(load(), supplies)) == plan


def test_the_second_container_of_an_image_uses_the_first_ones_files(supplies):
    plan = make_plan(load(), supplies)
    made = {m.entry.name: m for s in plan.steps if isinstance(s, MadeStep) for m in s.entries}
    runtime = made["containers/services/two/runtime.json"].content
    assert b"lowerdir=/containers/onboot/000-one/lower" in runtime
    assert "containers/services/two/lower" not in made


def test_time_and_sbom(supplies):
    with_sbom = msgspec.structs.replace(supplies, sbom=b"{}")
    plan = make_plan(load(), with_sbom, mtime_s=7, sbom_name="s.json")
    made = [m for s in plan.steps if isinstance(s, MadeStep) for m in s.entries]
    assert {m.entry.mtime_ns for m in made} == {7 * 10**9}
    assert any(m.entry.name == "s.json" for m in made)


def test_nothing_at_all():
    assert make_plan(load("services: []"), Supplies()).steps == ()

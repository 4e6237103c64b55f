import pytest

from sampan.spec.model import Volume
from sampan.spec.rule import bound_fault

VOLUMES = "volumes: [{name: data}, {name: seed, readonly: true}]"


def service(settings, name="a"):
    return f"services: [{{name: {name}, image: x, {settings}}}]"


def file(settings):
    return f"files: [{{path: a, {settings}}}]"


@pytest.mark.parametrize(
    "settings",
    [
        "contents: ''",
        "source: /a",
        "metadata: json",
        "symlink: b",
        "directory: true",
        "directory: false, contents: x",
        "symlink: '', contents: x",
        "optional: true, source: a",
    ],
)
def test_good_files(read, settings):
    assert len(read(file(settings)).files) == 1


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("mode: '0644'", "files[0]: the file has nothing to be made of"),
        ("contents: a, symlink: b", "files[0].contents: a symlink has no contents"),
        ("metadata: yaml, directory: true", "files[0].metadata: a directory has no metadata"),
        ("directory: true, symlink: b", "files[0].symlink: a file is a directory or a symlink, not both"),
        ("source: a, metadata: yaml", "files[0].metadata: metadata cannot stand beside source"),
        ("uid: web, contents: x", "files[0].uid: no container is named 'web'"),
    ],
)  # fmt: skip
def test_bad_files(faults, settings, fault):
    assert faults(file(settings)) == [fault]


def test_a_fault_in_a_file_brings_no_others(faults):
    assert faults(file("contents: 1")) == [
        "files[0].contents: must be a string, not '1' (a number)"
    ]


@pytest.mark.parametrize(
    "settings",
    [
        "binds: ['data:/a', 'seed:/b:ro']",
        "mounts: [{type: bind, source: seed, destination: /a, options: [ro, bind]}]",
        "mounts: [{type: tmpfs, source: nothing, destination: a}]",
        "mounts: [{type: cgroup}, {destination: /dev, options: [ro]}, {source: proc, destination: /p}]",
        "devices: [{path: all, type: a}, {path: /dev/p, type: p}]",
        "uid: a, additionalGids: [a, 0]",
        "capabilities: [none], ambient: [all, CAP_KILL]",
        "restart: always",
    ],
)
def test_good_containers(read, settings):
    assert len(read(service(settings), VOLUMES).services) == 1


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("binds: ['seed:/a']", "binds[0]: the volume 'seed' is read-only"),
        ("binds.add: ['seed:/a:rw']", "binds.add[0]: the volume 'seed' is read-only"),
        ("mounts: [{type: bind, source: seed, destination: /a}]", "mounts[0].source: the volume 'seed' is read-only"),
        ("binds: ['dat:/a']", "binds[0]: there is no volume 'dat'"),
        ("mounts: [{source: tmpfs}]", "mounts[0].destination: the mount needs a destination"),
        ("devices: [{path: /dev/x, type: c}]", "devices[0]: a device node needs major and minor"),
        ("gid: b", "gid: no container is named 'b'"),
        ("onfailure: stop", "onfailure: onfailure is for onboot, not for services"),
        ("capabilities: [none, all]", "capabilities: 'none' stands alone"),
    ],
)  # fmt: skip
def test_bad_containers(faults, settings, fault):
    assert fault in [
        line.removeprefix("services[0].") for line in faults(service(settings), VOLUMES)
    ]


def test_names_are_known_across_files_in_any_order(read):
    spec = read(service("binds: ['data:/a'], uid: b"), VOLUMES, "onboot: [{name: b, image: x}]")
    assert spec.volume("data") is not None


def test_names_are_unique_across_files(problems):
    found = problems(service("net: host"), VOLUMES, service("net: new"), VOLUMES)
    assert [(p.path, p.message, p.hint) for p in found] == [
        ("services[0].name", "there are two services named 'a'", "the first is at 0.yml:1:12"),
        ("volumes[0].name", "there are two volumes named 'data'", "the first is at 1.yml:1:11"),
        ("volumes[1].name", "there are two volumes named 'seed'", "the first is at 1.yml:1:25"),
    ]


def test_an_alias_is_a_second_service(faults):
    assert faults("services: [&a {name: a, image: x}, *a]") == [
        "services[1].name: there are two services named 'a'"
    ]


def test_onboot_may_repeat(read):
    assert len(read("onboot: [&a {name: a, image: x}, *a]").onboot) == 2


def test_a_faulty_volume_is_not_missed_again(faults):
    assert len(faults(service("binds: ['data:/a']"), "volumes: [{name: data, image: 5}, 1]")) == 2


def test_what_binds_of_labels_are_held_to():
    volumes = {"seed": Volume("seed", readonly=True)}
    assert bound_fault("/a", writable=True, volumes=volumes) is None
    assert bound_fault("seed", writable=False, volumes=volumes) is None
    assert bound_fault("seed", writable=True, volumes=volumes) == (
        "the volume 'seed' is read-only", "add the option ro",
    )  # fmt: skip
    unknown = bound_fault("x", writable=True, volumes=volumes)
    assert unknown
    assert unknown[0] == "there is no volume 'x'"

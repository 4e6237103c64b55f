import pytest
from msgspec import UNSET

from sampan.spec.model import Container, ContainerDefaults, File, Mount, Spec, Volume
from sampan.spec.shape import Record


def test_not_given_is_not_empty(read):
    spec = read("services: [{name: a, image: b, binds: []}]")
    assert spec.services[0].binds == ()
    assert spec.services[0].command is UNSET


def test_values_are_immutable_and_hashable(read):
    spec = read("services: [{name: a, image: b, sysctl: {c: d}, runtime: {mkdir: [e]}}]")
    assert hash(spec) == hash(
        read("services: [{name: a, image: b, sysctl: {c: d}, runtime: {mkdir: [e]}}]")
    )
    with pytest.raises(AttributeError):
        spec.init = ()


def test_containers_in_the_order_of_ids(read):
    spec = read(
        "services: [{name: c, image: x}]\nonboot: [{name: a, image: x}, {name: b, image: x}]"
    )
    assert [(section, index, c.name) for section, index, c in spec.containers()] == [
        ("onboot", 0, "a"), ("onboot", 1, "b"), ("services", 0, "c"),
    ]  # fmt: skip


def test_volume_by_name():
    data = Volume("data")
    assert Spec(volumes=(data,)).volume("data") is data
    assert Spec(volumes=(data,)).volume("/data") is None


@pytest.mark.parametrize(
    ("mount", "bound"),
    [
        (Mount(type="bind", source="data"), "data"),
        (Mount(source="/a", options=("ro", "rbind")), "/a"),
        (Mount(type="tmpfs", source="data"), None),
        (Mount(type="bind"), None),
        (Mount(source="proc"), None),
    ],
)
def test_what_a_mount_binds(mount, bound):
    assert mount.bound == bound


@pytest.mark.parametrize("path", ["etc/motd", "/etc/motd", "./etc//motd/"])
def test_clean_name_of_a_file(path):
    assert File(path).name == "etc/motd"


KEYS = """
    name image capabilities capabilities.add ambient mounts binds binds.add devices tmpfs command
    env cwd net pid ipc uts userns readonly maskedPaths readonlyPaths uid gid additionalGids
    noNewPrivileges hostname oomScoreAdj rootfsPropagation cgroupsPath resources sysctl rlimits
    uidMappings gidMappings annotations runtime restart onfailure
"""


def test_keys_of_a_container_are_those_of_the_reference():
    keys = set(KEYS.split())
    assert set(Record(Container).fields) == keys
    assert set(Record(ContainerDefaults).fields) == keys - {"name", "image"}


def test_every_key_is_described():
    def walk(record, seen):
        for field in record.fields.values():
            assert field.about, f"{record.struct.__name__}.{field.name}"
            inner = getattr(field.shape, "item", field.shape)
            if isinstance(inner, Record) and inner.struct not in seen:
                walk(inner, seen | {inner.struct})

    walk(Record(Spec), set())

"""The documents of the golden build are compared to the byte; the rest are the rules of 2.3."""

import json
import tarfile
from pathlib import Path

import pytest
from msgspec import UNSET

from sampan.errors import DocumentError
from sampan.image import runtime
from sampan.image.runtime import Context, Place
from sampan.oci.model import ContainerConfig
from sampan.spec import capability, resource
from sampan.spec.model import (
    BindNS,
    ContainerDefaults,
    Device,
    IdMapping,
    Interface,
    Mount,
    Runtime,
    Volume,
)
from sampan.spec.text import Bind, Mode, Rlimit, Tmpfs

GOLD = Path(__file__).parents[1] / "data" / "parity" / "gold.tar"
CONTEXT = Context(
    "services[0]",
    {"svc": 103},
    {"blank": Volume(name="blank"), "img": Volume(name="img", readonly=True)},
)
IMAGE = ContainerConfig(
    entrypoint=("/bin/app",), cmd=("-x",), env=("PATH=/bin",), working_dir="/bin"
)
SERVICE = ContainerDefaults(
    capabilities=("CAP_NET_ADMIN", "CAP_SYS_ADMIN"),
    net="new",
    binds=tuple(map(Bind.parse, ("/etc/x:/x:ro", "/var:/var", "blank:/data"))),
    rlimits=(Rlimit.parse("nofile,10,20"),),
    runtime=Runtime(
        mkdir=("/var/lib/s",),
        mounts=(Mount(type="tmpfs", source="tmpfs", destination="/run/q", options=("mode=755",)),),
    ),
)


def gold(name):
    with tarfile.open(GOLD) as archive:
        return archive.extractfile(name).read()


def config(settings=None, image=IMAGE, **keys):
    settings = settings or ContainerDefaults(**keys)
    return json.loads(runtime.config_json(settings, image, CONTEXT))


def mounts(**keys):
    return {mount["destination"]: mount for mount in config(**keys)["mounts"]}


def test_golden_config_of_a_service():
    assert runtime.config_json(SERVICE, IMAGE, CONTEXT) == gold(
        "containers/services/svc/config.json"
    )


def test_golden_runtime_of_a_service():
    place = Place("/containers/services/svc", "/containers/onboot/000-one/lower")
    assert runtime.runtime_json(SERVICE, place) == gold("containers/services/svc/runtime.json")


def test_golden_read_only_container():
    settings = ContainerDefaults(readonly=True)
    folder = "/containers/onshutdown/000-bye"
    assert runtime.config_json(settings, ContainerConfig(cmd=("/app",)), CONTEXT) == gold(
        f"{folder[1:]}/config.json"
    )
    assert runtime.runtime_json(settings, Place(folder, f"{folder}/rootfs")) == gold(
        f"{folder[1:]}/runtime.json"
    )


def test_everything_at_once_in_the_order_of_the_specification():
    document = config(
        ContainerDefaults(
            command=("/app",), cwd="", env=(), additional_gids=(5, "svc"),
            no_new_privileges=True, oom_score_adj=-5, readonly=True, hostname="h",
            net="none", ipc="new", uts="host", pid="host", userns="/ns/user",
            mounts=(Mount(type="mqueue"), Mount(destination="/dev", options=("ro",))),
            tmpfs=(Tmpfs.parse("/tmp:size=1M,mode=1777"),), annotations=(("k", "v"),),
            ambient=("CAP_KILL",), sysctl=(("a.b", "1"),),
            resources=resource.Resources(
                memory=resource.Memory(limit=100), blockio=resource.BlockIO(weight=10)
            ),
            cgroups_path="/x", rootfs_propagation="shared", masked_paths=("/proc/kcore",),
            readonly_paths=("/proc/sys",), uid_mappings=(IdMapping(container_id=0, host_id=1, size=2),),
        )
    )  # fmt: skip
    assert list(document) == [
        "ociVersion", "process", "root", "hostname", "mounts", "annotations", "linux",
    ]  # fmt: skip
    assert document["process"] == {
        "user": {"uid": 0, "gid": 0, "additionalGids": [5, 103]},
        "args": ["/app"],
        "cwd": "/bin",
        "capabilities": {"bounding": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
        "noNewPrivileges": True,
        "oomScoreAdj": -5,
    }
    linux = document["linux"]
    assert linux == {
        "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
        "sysctl": {"a.b": "1"},
        "resources": {"memory": {"limit": 100}, "blockIO": {"weight": 10}},
        "cgroupsPath": "/x",
        "namespaces": [
            {"type": "network"}, {"type": "ipc"}, {"type": "user", "path": "/ns/user"},
            {"type": "mount"},
        ],
        "rootfsPropagation": "shared",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
    }  # fmt: skip
    by_place = {mount["destination"]: mount for mount in document["mounts"]}
    assert by_place["/dev"] == {
        "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro"],
    }  # fmt: skip
    assert by_place["/dev/mqueue"] == {
        "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
    }  # fmt: skip
    assert by_place["/tmp"]["options"] == ["size=1M", "mode=1777"]


def test_all_capabilities_are_in_the_kernels_order_where_order_counts():
    granted = config(capabilities=("all",))["process"]["capabilities"]
    assert granted["effective"] == list(capability.ALL)
    assert granted["bounding"] == granted["permitted"] == sorted(capability.ALL)
    assert "ambient" not in granted


def test_no_capabilities():
    assert config(capabilities=())["process"]["capabilities"] == {}


@pytest.mark.parametrize(
    ("keys", "kinds"),
    [
        ({}, ["pid", "mount"]),
        ({"net": "host", "pid": "root"}, ["mount"]),
        ({"net": "new", "uts": "new"}, ["network", "uts", "pid", "mount"]),
    ],
)
def test_namespaces(keys, kinds):
    assert [one["type"] for one in config(**keys)["linux"]["namespaces"]] == kinds


def test_devices_make_a_node_and_a_rule_and_all_only_a_rule():
    linux = config(
        devices=(
            Device(path="/dev/x", type="c", major=5, minor=1, mode=Mode.parse("0666")),
            Device(path="all", type="b"),
        )
    )["linux"]
    assert linux["devices"] == [
        {"path": "/dev/x", "type": "c", "major": 5, "minor": 1, "fileMode": 438}
    ]
    assert linux["resources"]["devices"] == [
        {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "rwm"},
        {"allow": True, "type": "b", "access": "rwm"},
    ]


def test_volumes_by_name_in_binds_and_in_mounts():
    seen = mounts(
        binds=(Bind.parse("img:/a:ro"),),
        mounts=(Mount(destination="/b", type="bind", source="blank", options=("rbind",)),),
    )
    assert seen["/a"]["source"] == "/containers/volumes/img/merged"
    assert seen["/a"]["options"] == ["ro", "rbind"]
    assert seen["/b"]["source"] == "/containers/volumes/blank/merged"


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"binds": (Bind.parse("img:/a"),)}, "binds"),
        ({"mounts": (Mount(destination="/a", type="bind", source="img"),)}, "mounts"),
    ],
)
def test_a_read_only_volume_is_not_mounted_writable(keys, place):
    with pytest.raises(
        DocumentError, match=rf"services\[0\]\.{place}: the volume 'img' is read-only"
    ):
        config(**keys)


def test_sampans_own_keys_become_annotations_only_when_given():
    assert "annotations" not in config()
    assert config(restart="always", annotations=(("z", "1"),))["annotations"] == {
        "dev.sampan.restart": "always",
        "z": "1",
    }
    assert config(onfailure="stop")["annotations"] == {"dev.sampan.onfailure": "stop"}


def test_nothing_to_run_is_a_fault():
    with pytest.raises(DocumentError) as caught:
        config(image=ContainerConfig())
    assert str(caught.value) == (
        "services[0].command: there is nothing to run\n    give it a command"
    )


def test_runtime_json_always_has_all_keys():
    empty = json.loads(runtime.runtime_json(ContainerDefaults(readonly=True), Place("/c", "/l")))
    assert empty == {
        "cgroups": [],
        "mounts": [{"destination": "/c/rootfs", "source": "/l", "options": ["bind"]}],
        "mkdir": [],
        "interfaces": [],
        "bindNS": dict.fromkeys(("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"), ""),
        "namespace": "",
    }


def test_runtime_json_interfaces_and_namespaces():
    settings = ContainerDefaults(
        readonly=True,
        runtime=Runtime(
            cgroups=("g",), interfaces=(Interface(name="wg0", add="wireguard", create_in_root=True),),
            bind_ns=BindNS(net="/run/netns/x"), namespace="other",
        ),
    )  # fmt: skip
    document = json.loads(runtime.runtime_json(settings, Place("/c", "/l")))
    assert document["interfaces"] == [{"name": "wg0", "add": "wireguard", "createInRoot": True}]
    assert document["bindNS"]["net"] == "/run/netns/x"
    assert document["bindNS"]["user"] == ""
    assert document["namespace"] == "other"
    assert document["cgroups"] == ["g"]


def test_a_key_that_was_not_given_is_not_a_value():
    assert ContainerDefaults().oom_score_adj is UNSET
    assert "oomScoreAdj" not in config()["process"]
    assert config(oom_score_adj=0)["process"]["oomScoreAdj"] == 0

"""runc running the config.json that a build writes, on this computer.

(crun, which refuses hosts that have cgroups of both versions, runs it in the boot tests.)
"""

import json
import os
import subprocess

import pytest

from sampan import spec
from sampan.image.build import build
from sampan.image.output import Output
from sampan.oci.layout import Cache
from sampan.oci.model import Platform

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(os.getuid() != 0, reason="containers with real devices need root"),
]

SYSTEM = """
onboot:
  - name: writable
    image: sampan/busybox
    command: [sh, -c, "echo new > /made; cat /made; id -u; pwd; hostname; ulimit -n; echo $COLOUR"]
    env: [PATH=/bin, COLOUR=red]
    cwd: /tmp
    uid: 7
    hostname: inside
    uts: new
    rlimits: ["nofile,100,200"]
    tmpfs: ["/tmp:mode=1777"]
  - name: readonly
    image: sampan/busybox
    readonly: true
    capabilities: [CAP_CHOWN]
    noNewPrivileges: true
    command: [sh, -c, "touch /made; grep -E 'CapEff|NoNewPrivs' /proc/self/status; mount"]
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The unpacked tar of SYSTEM."""
    folder = tmp_path_factory.mktemp("bundle")
    build(
        spec.load([spec.Source.text(SYSTEM, "bundle.yml")]),
        cache=Cache(folder / "cache"),
        platform=Platform.host(),
        formats=["tar"],
        output=Output(folder, "bundle"),
    )
    (folder / "tree").mkdir()
    subprocess.run(["tar", "-xf", folder / "bundle.tar", "-C", folder / "tree"], check=True)
    return folder / "tree"


@pytest.fixture
def ran(tree, tmp_path):
    """A function: name of a container, folder of its files → what it printed."""

    def run(name, rootfs):
        bundle = tree / "containers" / "onboot" / name
        config = json.loads((bundle / "config.json").read_text())
        # what the guest mounts there by runtime.json
        config["root"]["path"] = str(rootfs)
        (tmp_path / "config.json").write_text(json.dumps(config))
        done = subprocess.run(
            ["runc", "--root", str(tmp_path / "state"), "run", "--bundle", str(tmp_path), f"sampan-{os.getpid()}-{name}"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(), done.stderr

    return run


def test_a_writable_container(ran, tree):
    rootfs = tree / "containers/onboot/000-writable/lower"
    rootfs.chmod(0o777)  # so that uid 7 can show that it writes
    said, _ = ran("000-writable", rootfs)
    assert said == ["new", "7", "/tmp", "inside", "100", "red"]
    assert (rootfs / "made").stat().st_uid == 7
    (rootfs / "made").unlink()


def test_a_readonly_container(ran, tree):
    said, errors = ran("001-readonly", tree / "containers/onboot/000-writable/lower")
    assert "Read-only file system" in errors
    status = dict(line.split(":\t") for line in said if ":\t" in line)
    assert int(status["CapEff"], 16) == 1 << 0, "CAP_CHOWN and nothing else"
    assert status["NoNewPrivs"] == "1"
    mounts = {line.split()[2]: line for line in said if " on " in line}
    assert "devpts" in mounts["/dev/pts"]
    assert "(ro" in mounts["/sys"]

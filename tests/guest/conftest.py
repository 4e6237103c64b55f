"""Systems that are built once and booted once for many tests."""

import os
import re
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from sampan import machine, spec
from sampan.base import fs
from sampan.desktop.network import connection
from sampan.image import build as image_build
from sampan.image.output import Output
from sampan.oci.layout import Cache
from sampan.oci.model import Platform
from sampan.package import build as package_build

SYSTEMS = Path(__file__).parent / "systems"
BOOT_S = 300  # software emulation on a busy computer
COMMAND_S = 180


class System:
    """A booted system: its machine, what it showed, and a shell on its console."""

    def __init__(self, running, connected=None):
        self.machine = running
        self.connected = connected
        self._count = 0

    @property
    def shown(self):
        """All that the console has shown, with plain line ends."""
        return self.machine.console.transcript.replace("\r", "")

    def wait_for(self, pattern):
        """Wait until the console shows `pattern`."""
        return self.machine.console.expect(re.compile(pattern), timeout_s=BOOT_S)

    def run(self, command):
        """What `command` prints in the root shell that getty gives."""
        console = self.machine.console
        if "(ns: getty)" not in self.shown:
            self.wait_for(r"\(ns: getty\)")
        self._count += 1
        # the shell adds the numbers, so that the echo of the command is not taken for its output
        console.send_line(
            f"echo B$((0 + {self._count})); {command} 2>&1; echo E$((0 + {self._count}))"
        )
        console.expect(re.compile(rf"\nE{self._count}\r?\n"), timeout_s=COMMAND_S)
        _, _, after = self.shown.rpartition(f"\nB{self._count}\n")
        return after.partition(f"E{self._count}\n")[0]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Builds a YAML file for this computer; gives the path that the outputs' names begin with.

    The image cache is kept from run to run: in $SAMPAN_TEST_CACHE, else with pytest's other
    temporary files.
    """
    base = Path(os.environ.get("SAMPAN_TEST_CACHE") or f"/tmp/sampan-test-cache-{os.getuid()}")
    folder = tmp_path_factory.mktemp("systems")
    done = {}

    def build(source):
        if source not in done:
            cache = Cache(base / "images")

            def package(path):
                return str(package_build.build(path, cache, Platform.host()))

            with fs.locked(base / "lock"):
                image_build.build(
                    spec.load([spec.Source.file(source)], resolve_package=package),
                    cache=cache,
                    platform=Platform.host(),
                    formats=("kernel+initrd",),
                    output=Output(folder, source.stem),
                )
            done[source] = folder / source.stem
        return done[source]

    return build


@pytest.fixture(scope="session")
def await_ssh():
    """Wait until an ssh server answers on a port: a service that has started may not listen yet."""

    def wait(port):
        deadline = time.monotonic() + BOOT_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=BOOT_S) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except ConnectionError:
                pass
            assert time.monotonic() < deadline

    return wait


@pytest.fixture(scope="session")
def boot(built):
    """Boots a system: the name of one in `systems`, or a path; for use in a `with`.

    With `connect` it is connected as `sampan run` does it.
    """

    @contextmanager
    def launch(source, *, mem_mib, publish=(), options=None, connect=None, **fields):
        path = source if isinstance(source, Path) else SYSTEMS / f"{source}.yml"
        prefix = built(path)
        description = machine.MachineSpec(
            kernel=Path(f"{prefix}-kernel"),
            initrd=Path(f"{prefix}-initrd.img"),
            cmdline=Path(f"{prefix}-cmdline").read_text(),
            cpus=2,
            mem_mib=mem_mib,
            publish=publish,
            **{"name": path.stem, **fields},
        )
        if connect is None:
            with machine.launch(description, options) as running:
                yield System(running)
            return
        with connection(description, connect) as made:
            fd = None if made.link is None else made.link.fileno()
            options = machine.LaunchOptions(
                link_fd=fd, link_path=made.link_path, relink=made.relink
            )
            with machine.launch(made.spec, options) as running:
                if made.link is not None:
                    made.link.close()
                yield System(running, made)

    return launch

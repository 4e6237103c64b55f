"""Network namespaces with the Linux kernel and its programs as machines of a Sampan network.

A `Namespace` belongs to a child (netns_server.py) that hands out sockets and TAP devices of it.
So tests hold both ends: the machine's sockets and the host's, in one process. Where there are
no privileges the namespaces are made within a user namespace.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sampan.net.runtime.attach.tap import TapLink
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings

SERVER = Path(__file__).with_name("netns_server.py")
GATEWAY, HOST = "192.168.65.1", "192.168.65.254"
GATEWAY6 = "fdc0:a841:6500::1"
PATIENCE_S = 60


class Namespace:
    """Network and mount namespaces of their own, with the loopback interface up."""

    def __init__(self):
        self.address = ""
        self.plug = None
        mine, theirs = socket.socketpair()
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        unshare = ["unshare", *user, "--net", "--mount"]
        argv = [*unshare, sys.executable, "-S", str(SERVER)]
        self._child = subprocess.Popen(argv, stdin=theirs.fileno(), stderr=subprocess.PIPE)
        theirs.close()
        self._control = mine
        mine.settimeout(PATIENCE_S)
        if mine.recv(5) != b"ready":
            why = self._child.stderr.read().decode().strip().splitlines()
            self.close()
            pytest.skip(f"no network namespace can be made here: {why[-1] if why else '?'}")
        self._enter = ["nsenter", "-t", str(self._child.pid), "-n", "-m"]
        if user:
            self._enter += ["-U", "--preserve-credentials"]
        self.ip("link set lo up")

    def _ask(self, **request):
        self._control.send(json.dumps(request).encode())
        said, fds, _, _ = socket.recv_fds(self._control, 100, 1)
        if not fds:
            raise OSError(int(said), os.strerror(int(said)))
        return fds[0]

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket of the namespace, with a time-out."""
        found = socket.socket(fileno=self._ask(socket=[family, kind, protocol]))
        found.settimeout(PATIENCE_S)
        return found

    def connect(self, host, port):
        """A TCP connection from the namespace."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connection = self.socket(family)
        try:
            connection.connect((host, port))
        except BaseException:
            connection.close()
            raise
        return connection

    def tap(self, name, *, offload=True):
        """A new TAP device of the namespace; skips the test where there can be none."""
        try:
            return self._ask(tap=name, offload=offload)
        except OSError as error:
            pytest.skip(f"no TAP device can be made here: {error.strerror}")

    def popen(self, argv, **options):
        """Start a program in the namespace; skips the test if it is not installed."""
        return subprocess.Popen([*self._enter, *_found(argv)], **options)

    def run(self, argv, *, check=True, timeout_s=PATIENCE_S, **options):
        """Run a program in the namespace to its end; what it says is text."""
        done = subprocess.run(
            [*self._enter, *_found(argv)], capture_output=True, text=True, timeout=timeout_s,
            check=False, **{"stdin": subprocess.DEVNULL, **options},
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}"
        return done

    def ip(self, command):
        """What the program `ip` says."""
        return self.run(["ip", *command.split()]).stdout

    def close(self):
        self._control.close()
        self._child.terminate()
        self._child.wait(PATIENCE_S)
        self._child.stderr.close()


def _found(argv):
    program, *arguments = argv
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"{program} is not installed: tools/host-packages test")
    return [found, *(str(word) for word in arguments)]


class VirtualNetwork:
    """A Sampan network in a thread of this process, and its machines."""

    def __init__(self, settings):
        self.settings = settings
        self.network = UserNetwork(settings)
        self._namespaces = []

    def call(self, work):
        """Do something (with the network's `Assembly`) in the network's thread."""
        return self.network.submit(work).result(PATIENCE_S)

    @property
    def flows(self):
        """How many TCP flows there are."""
        return self.call(lambda assembly: len(assembly.engine.stack.flows))

    def settled(self, flows=0):
        """Wait until there are no more than `flows` flows."""
        _wait_until(lambda: self.flows <= flows, f"{flows} flows")

    def machine(self, *, configure=True, offload=True, wrap=lambda link: link):
        """A new namespace on this network, with an address of its own unless not configured."""
        namespace = Namespace()
        self._namespaces.append(namespace)
        number = len(self._namespaces) + 1
        link = wrap(TapLink(namespace.tap("tap0", offload=offload), offload=offload))
        namespace.plug = self.network.plug(link, name=f"machine{number}")
        if configure:
            namespace.address = f"192.168.65.{200 + number}"
            namespace.ip(f"addr add {namespace.address}/24 dev tap0")
        namespace.ip(f"link set tap0 mtu {self.settings.mtu} up")
        if configure:
            namespace.ip(f"route add default via {GATEWAY}")
            namespace.run(["ping", "-c1", f"-W{PATIENCE_S}", GATEWAY])  # so that it is known
        return namespace

    def close(self):
        for namespace in self._namespaces:
            namespace.close()
        self.network.close()


@pytest.fixture
def wait_until():
    """Waits until something is so: `wait_until(function, "what")`."""
    return _wait_until


def _wait_until(true, what):
    """Look again and again until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"no {what} in {PATIENCE_S} s"
        time.sleep(0.01)


@pytest.fixture
def new_network():
    """Makes networks; keywords as of `Settings`."""
    made = []

    def make(**settings):
        made.append(VirtualNetwork(Settings(**settings)))
        return made[-1]

    yield make
    for network in made:
        network.close()


@pytest.fixture
def virtual_network(new_network):
    """A network as it is by default."""
    return new_network()


@pytest.fixture
def machine(virtual_network):
    """A namespace on `virtual_network`, configured."""
    return virtual_network.machine()


class HostServer:
    """A TCP server on the host: `handle(connection)` in a thread for each connection."""

    def __init__(self, handle, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._handle = handle
        self._listener = socket.create_server((address, 0), family=family, backlog=1024)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="host-server")]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="host-server")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        connection.settimeout(PATIENCE_S)
        with connection:
            self._handle(connection)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)


@pytest.fixture
def host_server():
    """Makes TCP servers of the host from a handler; gives their ports."""
    made = []

    def make(handle, address="127.0.0.1"):
        made.append(HostServer(handle, address))
        return made[-1].port

    yield make
    for server in made:
        server.close()


@pytest.fixture
def echo_port(host_server):
    """A server of the host that says back what it hears, and closes when it heard the end."""

    def echo(connection):
        while data := connection.recv(65536):
            connection.sendall(data)

    return host_server(echo)


@pytest.fixture
def docker_registry(tmp_path):
    """Starts Debian's docker-registry, empty; gives its HOST:PORT. It writes `registry.log`."""
    started = []

    def start(auth=None):
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
            "http": {"addr": "127.0.0.1:0"},
        } | ({"auth": auth} if auth else {})
        path, log = tmp_path / "registry.yml", tmp_path / "registry.log"
        path.write_text(json.dumps(config))  # JSON is YAML
        with log.open("wb") as stream:
            argv = ["docker-registry", "serve", path]
            child = subprocess.Popen(argv, stdout=stream, stderr=stream)
        started.append(child)

        def listening():
            assert child.poll() is None, log.read_text()
            return re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())

        _wait_until(listening, "docker-registry")
        return listening()[1]

    yield start
    for child in started:
        child.terminate()
        child.wait(PATIENCE_S)


@pytest.fixture
def background():
    """Starts programs (`background(namespace, argv)`) that end with the test."""
    started = []

    def start(namespace, argv, **options):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(namespace.popen(argv, **{**quiet, **options}))
        return started[-1]

    yield start
    for child in started:
        child.terminate()
        child.communicate(timeout=PATIENCE_S)

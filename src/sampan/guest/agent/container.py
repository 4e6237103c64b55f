"""One container's life through the OCI runtime (crun or runc), with `runtime.json` honoured.

    prepare → create → (interfaces, namespaces) → start → its process is our child → clean

The runtime's `create` ends once the container exists; its process is then an orphan, and ours
because `kernel.become_subreaper` was called: waitpid(2) gives its true status.
"""

from __future__ import annotations

import os
import signal

from sampan.guest.agent import kernel, netlink, process
from sampan.guest.agent import mount as mounts
from sampan.guest.agent.bundle import Bundle
from sampan.guest.agent.document import Runtime
from sampan.guest.agent.fault import AgentError

CGROUPS = "/sys/fs/cgroup"


def find_runtime() -> str:
    """The path of the OCI runtime: crun, which is small and fast, else runc.

    Raises:
        AgentError: the image has neither.
    """
    found = process.find("crun", "runc")
    if found is None:
        raise AgentError("no OCI runtime: add sampan/crun or sampan/runc to `init`")
    return found


def prepare(bundle: Bundle) -> None:
    """Make the mounts, directories and cgroups that the container expects.

    Raises:
        AgentError: one of them cannot be made.
    """
    for mount in bundle.runtime.mounts:
        for folder in mounts.folders(mount, bundle.root):
            _make_folder(folder)
        for call in mounts.calls(mount, bundle.root):
            try:
                kernel.mount(call)
            except OSError as error:
                what = f"{call.source or call.type or 'options'} on {call.target}"
                raise AgentError(f"cannot mount {what}: {error.strerror}") from error
    for folder in bundle.runtime.mkdir:
        _make_folder(os.path.join(bundle.root, folder))
    for group in bundle.runtime.cgroups:
        _make_folder(f"{CGROUPS}/{group.lstrip('/')}")


def create(
    tool: str, bundle: Bundle, state: str, *, out: int, err: int, debug: bool = False
) -> int:
    """Create the container and give it its interfaces; the process id of its first process.

    `state` is a folder for the runtime's notes about it; `out` and `err` are descriptors the
    container writes to.

    Raises:
        AgentError: the runtime refused; what it said is in the container's log.
    """
    os.makedirs(state, exist_ok=True)
    pid_file = f"{state}/pid"
    options = ["--debug"] if debug else []
    argv = [tool, *options, "create", "--bundle", bundle.path, "--pid-file", pid_file, bundle.name]
    status = process.wait(process.start(argv, stdout=out, stderr=err))
    if status != 0:
        raise AgentError(f"{os.path.basename(tool)} create {process.explain(status)}")
    with open(pid_file, encoding="ascii") as stream:
        pid = int(stream.read())
    try:
        attach(bundle.runtime, pid)
    except AgentError:
        delete(tool, bundle)
        os.waitpid(pid, 0)
        raise
    return pid


def attach(runtime: Runtime, pid: int) -> None:
    """What is done between creation and start: interfaces, names for namespaces.

    Raises:
        AgentError: the kernel refused.
    """
    for interface in runtime.interfaces:
        netlink.give(interface, pid)
    for name, path in runtime.bind_namespaces:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644))
            kernel.mount(mounts.Call(f"/proc/{pid}/ns/{name}", path, "", mounts.BIND, ""))
        except OSError as error:
            raise AgentError(f"cannot bind namespace {name} to {path}: {error.strerror}") from error


def start(tool: str, bundle: Bundle) -> None:
    """Let the created container run.

    Raises:
        AgentError: the runtime refused.
    """
    status, said = process.run([tool, "start", bundle.name])
    if status != 0:
        raise AgentError(f"{os.path.basename(tool)} start {process.explain(status)}: {said}")


def run(tool: str, bundle: Bundle, state: str, *, out: int, err: int, debug: bool = False) -> int:
    """A container from beginning to end; its exit status. Its root is unmounted afterwards.

    Raises:
        AgentError: it could not be prepared or started.
    """
    prepare(bundle)
    try:
        pid = create(tool, bundle, state, out=out, err=err, debug=debug)
        try:
            start(tool, bundle)
        except AgentError:
            os.kill(pid, signal.SIGKILL)
            process.wait(pid)
            raise
        status = process.wait(pid)
        delete(tool, bundle)
        return status
    finally:
        clean(bundle)


def delete(tool: str, bundle: Bundle) -> None:
    """Let the runtime forget the container; processes it left behind are killed."""
    process.run([tool, "delete", "--force", bundle.name])


def clean(bundle: Bundle) -> None:
    """Take away what `prepare` mounted for the container's root (the rest is for others too)."""
    own = (bundle.root, f"{bundle.path}/tmp")
    for mount in reversed(bundle.runtime.mounts):
        path = mounts.target_path(mount, bundle.root)
        if path in own:
            kernel.unmount(path)


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise AgentError(f"cannot make {path}: {error.strerror}") from error

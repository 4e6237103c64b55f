"""How services are run: by the OCI runtime alone, or through containerd.

Both engines start a bundle and name its first process; whoever watches that process asks for
its exit status with `collect`, which also clears the way for the next start.
"""

from __future__ import annotations

import json
import os

from sampan.guest.agent import container, kernel, log, process
from sampan.guest.agent.bundle import Bundle
from sampan.guest.agent.fault import AgentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Engine(Protocol):
        """What runs services."""

        def start(self, bundle: Bundle) -> int:
            """Start the service; its process id.

            Raises:
                AgentError: it could not be started.
            """

        def collect(self, bundle: Bundle, pid: int) -> int:
            """The exit status of the service's process `pid`, which has ended."""

        def adopt(self, bundle: Bundle) -> int | None:
            """The process of a service that runs since before we were started."""


STATE = "/run/sampan/services"
LOGS = "/var/log"
NAMESPACE = "services.linuxkit"
_UNKNOWN = 1  # the status of a process that was not our child


def log_path(name: str) -> str:
    """The file that a service's output goes to."""
    return f"{LOGS}/{name}.log"


class RuntimeEngine:
    """Services straight through crun or runc: small and fast, nothing else in memory."""

    def __init__(self) -> None:
        self._tool = container.find_runtime()
        kernel.become_subreaper()

    def start(self, bundle: Bundle) -> int:
        """See `Engine.start`."""
        _prepare_once(bundle)
        path = log_path(bundle.name)
        output = log.open_log(path)
        try:
            pid = container.create(
                self._tool, bundle, f"{STATE}/{bundle.name}", out=output, err=output
            )
        except AgentError as error:
            said = "".join(log.tail(path, 1))
            raise AgentError(f"{error}: {said}" if said else str(error)) from error
        finally:
            os.close(output)
        try:
            container.start(self._tool, bundle)
        except AgentError:  # what was created would be in the way of the next attempt
            container.delete(self._tool, bundle)
            process.wait(pid)
            raise
        return pid

    def collect(self, bundle: Bundle, pid: int) -> int:
        """See `Engine.collect`."""
        try:
            status = process.wait(pid)
        except ChildProcessError:
            status = _UNKNOWN
        container.delete(self._tool, bundle)
        return status

    def adopt(self, bundle: Bundle) -> int | None:
        """See `Engine.adopt`."""
        status, said = process.run([self._tool, "state", bundle.name])
        if status != 0:
            return None
        try:
            state = json.loads(said)
        except ValueError:
            return None
        if state.get("status") == "running":
            return int(state["pid"])
        container.delete(self._tool, bundle)
        return None


class ContainerdEngine:
    """Services as containerd tasks, so that `ctr -n services.linuxkit tasks ls` lists them."""

    def __init__(self, ctr: str) -> None:
        self._ctr = ctr
        # containerd's own choice is runc; an image may have only crun
        tool = None if process.find("runc") else process.find("crun")
        self._runtime = ["--runc-binary", tool] if tool else []

    def start(self, bundle: Bundle) -> int:
        """See `Engine.start`."""
        _prepare_once(bundle)
        state = f"{STATE}/{bundle.name}"
        with open(f"{state}/config.json", "w", encoding="utf-8") as stream:
            json.dump(containerd_config(bundle), stream)
        argv = [
            "run", "--detach", "--config", f"{state}/config.json", "--pid-file", f"{state}/pid",
            "--log-uri", f"file://{log_path(bundle.name)}", *self._runtime, bundle.name,
        ]  # fmt: skip
        status, said = self._run(bundle, *argv)
        if status != 0 and "already exists" in said:
            self._forget(bundle)
            status, said = self._run(bundle, *argv)
        if status != 0:
            self._forget(bundle)
            raise AgentError(said.rpartition("\n")[2] or process.explain(status))
        with open(f"{state}/pid", encoding="ascii") as stream:
            return int(stream.read())

    def collect(self, bundle: Bundle, pid: int) -> int:
        """See `Engine.collect`."""
        return self._forget(bundle)

    def adopt(self, bundle: Bundle) -> int | None:
        """See `Engine.adopt`."""
        _, said = self._run(bundle, "tasks", "list")
        for line in said.splitlines():
            name, pid, state = (*line.split(), "", "", "")[:3]
            if name == bundle.name and state == "RUNNING":
                return int(pid)
        return None

    def _forget(self, bundle: Bundle) -> int:
        status, said = self._run(bundle, "tasks", "delete", "--force", bundle.name)
        self._run(bundle, "containers", "delete", bundle.name)
        return deleted_status(status, said)

    def _run(self, bundle: Bundle, *arguments: str) -> tuple[int, str]:
        namespace = bundle.runtime.namespace or NAMESPACE
        return process.run([self._ctr, "--namespace", namespace, *arguments])


def deleted_status(status: int, said: str) -> int:
    """The exit status of a task's process, as `ctr tasks delete` tells it: in a warning."""
    _, found, code = said.partition("non-zero exit code ")
    digits = code[:3].rstrip('"\n ')
    return int(digits) if found and digits.isdigit() else status


def containerd_config(bundle: Bundle) -> dict[str, Any]:
    """The OCI configuration of a bundle for containerd.

    containerd takes a relative root from its own folder, so it is made absolute; it creates
    and starts at once, so what is due in between becomes a hook.
    """
    config = dict(bundle.config.raw)
    config["root"] = {**config.get("root", {}), "path": bundle.root}
    if bundle.runtime.needs_process:
        hooks = dict(config.get("hooks") or {})
        own = {"path": "/usr/bin/service", "args": ["service", "hook", bundle.path]}
        hooks["createRuntime"] = [*(hooks.get("createRuntime") or []), own]
        config["hooks"] = hooks
    return config


def _prepare_once(bundle: Bundle) -> None:
    """Mounts are made at the first start; they stay, so that a restart keeps the files."""
    done = f"{STATE}/{bundle.name}/prepared"
    if os.path.exists(done):
        return
    container.prepare(bundle)
    os.makedirs(os.path.dirname(done), exist_ok=True)
    with open(done, "wb"):
        pass

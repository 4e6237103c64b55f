"""The program of `sampan/vpnkit-expose-port`: asks the host for a port that leads into this machine.

    vpnkit-expose-port -proto tcp|udp -host-ip 127.0.0.1 -host-port 8080
                       -container-ip 172.17.0.2 -container-port 80
    vpnkit-expose-port -proto unix -host-path PATH -container-path PATH
        [-local-bind best-effort|always|never] [-control 4098] [-i]

It is what VPNKit's program of this name is, which Docker runs for each port it publishes
(`dockerd --userland-proxy-path`): the port is there when the program says so, on descriptor 3 if
that is a pipe, and goes when the program is ended. The host is asked through its vsock port
`-control` (or at a Unix socket, for tests); what it then sends comes through vpnkit-forwarder,
which has to run too. Unless `-local-bind never`, a TCP port is opened in this machine as well.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from contextlib import suppress

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import option
from sampan.guest.tool.relay import Relay

CONTROL_PORT = 0x1002
_HOST_CID = 2
_PARENT_FD = 3
_BACKLOG = 128
_MAX_ANSWER = 1 << 20
_PATIENCE_S = 120.0
_OPTIONS = {
    "proto": "tcp",
    "host-ip": "",
    "host-port": "0",
    "host-path": "",
    "container-ip": "",
    "container-port": "0",
    "container-path": "",
    "local-bind": "best-effort",
    "control": str(CONTROL_PORT),
}
_FLAGS = ("i", "debug", "no-local-ip")


class _Ended(Exception):  # noqa: N818  no fault
    """Somebody wants this program to end."""


class Control:
    """Asks the host, by HTTP, one connection for each question."""

    def __init__(self, where: str) -> None:
        self._where = where

    def ask(self, method: str, what: str, port: dict[str, object]) -> None:
        """Expose or unexpose a port.

        Raises:
            AgentError: the host cannot be asked, or refuses.
        """
        kind = "pipe" if port["proto"] == "unix" else "port"
        body = json.dumps(port).encode()
        head = (
            f"{method} /forwards/{what}/{kind} HTTP/1.1\r\nHost: host\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            answer = self._talk(head.encode() + body)
        except OSError as error:
            raise AgentError(
                f"the host cannot be asked at {self._where}: {error.strerror or error}"
                " (was the machine started with --guest-forwards?)"
            ) from error
        _check(answer)

    def _talk(self, said: bytes) -> bytes:
        is_port = self._where.isdigit()
        with socket.socket(socket.AF_VSOCK if is_port else socket.AF_UNIX) as stream:
            stream.settimeout(_PATIENCE_S)
            stream.connect((_HOST_CID, int(self._where)) if is_port else self._where)
            stream.sendall(said)
            answer = b""
            while (part := stream.recv(65536)) and len(answer) < _MAX_ANSWER:
                answer += part
            return answer


def _check(answer: bytes) -> None:
    """Refuse an answer that is not a yes.

    Raises:
        AgentError: what the host said.
    """
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) > 1 and words[1] == b"200":
        return
    message = ""
    with suppress(ValueError):  # no JSON: the status has to do
        said = json.loads(body)
        if isinstance(said, dict):
            message = str(said.get("message", ""))
    status = words[1].decode("latin-1") if len(words) > 1 else "nothing"
    raise AgentError(message or f"the host answers {status}")


class Parent:
    """Who is told whether there is a port: Docker at the other end of a pipe, or whoever reads."""

    def __init__(self, *, is_interactive: bool) -> None:
        self._fd = _PARENT_FD if not is_interactive and _is_pipe(_PARENT_FD) else None

    def tell(self, error: AgentError | None, port: str) -> None:
        """Say it, once."""
        if self._fd is None:
            if error is None:
                print(f"vpnkit-expose-port: {port} is open", flush=True)
            return
        with suppress(OSError):  # nobody listens any more
            os.write(self._fd, b"0\n" if error is None else f"1\n{error}".encode())
        os.close(self._fd)
        self._fd = None


def main(words: list[str]) -> int:
    """Run the program; the exit status.

    Raises:
        AgentError: the command line makes no sense, or there is no port to be had.
    """
    given, flags, rest = option.parse(words, _OPTIONS, _FLAGS)
    parent = Parent(is_interactive=bool(flags & {"i", "debug"}))
    if "no-local-ip" in flags:
        given["local-bind"] = "never"
    relay = Relay()
    try:
        if rest:
            raise AgentError(f"what is {rest[0]}?")
        port = _port(given)
        _bind_here(relay, given["local-bind"], port)
        control = Control(given["control"])
        with suppress(_Ended):
            _heed_signals()
            try:
                control.ask("PUT", "expose", port)
                parent.tell(None, _described(port))
                relay.run()
            finally:
                _ignore_signals()
                with suppress(AgentError):  # then it was not there, or the host is gone
                    control.ask("DELETE", "unexpose", port)
    except AgentError as error:
        parent.tell(error, "")
        raise
    finally:
        relay.close()
    return 0


def _heed_signals() -> None:
    def ended(number: int, frame: object) -> None:
        raise _Ended

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ended)


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _port(given: dict[str, str]) -> dict[str, object]:
    """What is asked for, as the host is told it."""
    if given["proto"] == "unix":
        found = {"out_path": given["host-path"], "in_path": given["container-path"]}
        if not all(found.values()):
            raise AgentError("say -host-path and -container-path")
        return {"proto": "unix", **found}
    if given["proto"] not in ("tcp", "udp"):
        raise AgentError(f"-proto {given['proto']}: say tcp, udp or unix")
    return {
        "proto": given["proto"],
        "out_ip": given["host-ip"] or "0.0.0.0",
        "out_port": _number(given, "host-port"),
        "in_ip": given["container-ip"] or "127.0.0.1",
        "in_port": _number(given, "container-port"),
    }


def _number(given: dict[str, str], name: str) -> int:
    text = given[name]
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise AgentError(f"-{name} {text}: say a number from 1 to 65535")
    return int(text)


def _described(port: dict[str, object]) -> str:
    if port["proto"] == "unix":
        return f"{port['out_path']} of the host, leading to {port['in_path']},"
    outside = f"{port['out_ip']}:{port['out_port']}/{port['proto']}"
    return f"{outside} of the host, leading to {port['in_ip']}:{port['in_port']},"


def _bind_here(relay: Relay, wanted: str, port: dict[str, object]) -> None:
    """Open a TCP port in this machine too, if it is wanted, and the address is one of its own.

    Raises:
        AgentError: it has to be, and cannot.
    """
    if wanted not in ("best-effort", "always", "never"):
        raise AgentError(f"-local-bind {wanted}: say best-effort, always or never")
    if wanted == "never" or port["proto"] != "tcp":
        return
    outside, inside = str(port["out_ip"]), str(port["in_ip"])
    family = socket.AF_INET6 if ":" in outside else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((outside, port["out_port"]))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if wanted == "always":
            raise AgentError(
                f"{outside}:{port['out_port']} of this machine: {error.strerror}"
            ) from error
        print(f"vpnkit-expose-port: not in this machine: {error.strerror}", flush=True)
        return
    relay.serve(
        listener,
        socket.AF_INET6 if ":" in inside else socket.AF_INET,
        (inside, int(str(port["in_port"]))),
    )


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False

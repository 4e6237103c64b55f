"""Asking the supervisor: one line to a Unix socket, some lines back.

Request: `COMMAND [NAME]` and a newline. Reply: `ok` or `error`, a newline, text; then the end
of the stream. Commands: `list`, `status`, `start`, `stop`, `restart`, `stop-all`.
"""

from __future__ import annotations

import os
import socket

from sampan.guest.agent.fault import AgentError

PATH = "/run/sampan/service.sock"
LIMIT = 4096  # bytes of a request
COMMANDS = ("list", "status", "start", "stop", "restart", "stop-all")
_NAMED = ("status", "start", "stop", "restart")


def parse_request(line: bytes) -> tuple[str, str]:
    """The command and the name (or `""`) of a request.

    Raises:
        AgentError: it is none.
    """
    words = line.decode(errors="replace").split()
    if not words or words[0] not in COMMANDS:
        raise AgentError(f"say one of: {', '.join(COMMANDS)}")
    if len(words) != (2 if words[0] in _NAMED else 1):
        wanted = " NAME" if words[0] in _NAMED else ""
        raise AgentError(f"usage: service {words[0]}{wanted}")
    return words[0], words[1] if len(words) == 2 else ""


def format_reply(text: str, *, ok: bool) -> bytes:
    """A reply as bytes."""
    return f"{'ok' if ok else 'error'}\n{text}".encode(errors="replace")


def listen(path: str = PATH) -> socket.socket:
    """The socket the supervisor listens on; only root may connect."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    server.bind(path)
    os.chmod(path, 0o600)
    server.listen(16)
    server.setblocking(False)
    return server


def ask(request: str, path: str = PATH) -> str:
    """Send a request to the supervisor and return the text of its reply.

    Raises:
        AgentError: it does not run, or it said no.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(path)
            client.sendall(request.encode(errors="replace") + b"\n")
            with client.makefile("rb") as stream:
                verdict, _, text = stream.read().decode(errors="replace").partition("\n")
        except OSError as error:
            raise AgentError(f"the supervisor does not answer: {error.strerror}") from error
    if verdict != "ok":
        raise AgentError(text or "the supervisor went away")
    return text

"""A registry on loopback that keeps everything in memory and fails as it is told to.

Loaded by conftest.py. It is an ordinary registry until `on` puts replies before it.
"""

import base64
import hashlib
import json
import re
import ssl
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATH = re.compile(r"/v2/(?P<repo>.+?)/(?P<kind>manifests|blobs)/(?P<name>.+)")


@dataclass
class Reply:
    """`cut`: close the connection after that many bytes of the body. `hang_up`: say nothing."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang_up: bool = False


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def error(status: int, code: str, message: str = "", **headers: str) -> Reply:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Reply(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


class ScriptedRegistry:
    reply = Reply
    error = staticmethod(error)
    digest_of = staticmethod(digest_of)

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.blobs: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = defaultdict(dict)
        self.uploads: dict[str, bytearray] = {}
        self.begun = 0
        self.seen: list[Seen] = []
        self.login: tuple[str, str] | None = None  # Basic
        self.bearer = False
        self.tokens: dict[str, list[str]] = {}  # token: scopes
        self.script: list[tuple[str, re.Pattern[str], list[Reply]]] = []
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.server.owner = self  # type: ignore[attr-defined]
        self.scheme = "http"
        if context is not None:
            self.scheme = "https"
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"{self.scheme}://{self.host}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """Answer the next requests whose path matches (re.search) with `replies`, one each."""
        self.script.append((method, re.compile(path), list(replies)))

    def paths(self, method: str) -> list[str]:
        return [request.path for request in self.seen if request.method == method]

    def add(self, repository: str, name: str, media_type: str, data: bytes) -> str:
        digest = digest_of(data)
        for key in (name, digest):
            self.manifests[repository][key] = (media_type, data)
        return digest

    def answer(self, request: Seen) -> Reply:
        with self.lock:
            self.seen.append(request)
            for method, path, replies in self.script:
                if replies and method == request.method and path.search(request.path):
                    return replies.pop(0)
            if request.path.startswith("/token"):
                return self._token(request)
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
            if request.path == "/v2/":
                return Reply(200, b"{}")
            match = PATH.fullmatch(urlsplit(request.path).path)
            if match is None:
                return error(404, "NAME_UNKNOWN")
            name = match["name"]
            if match["kind"] == "manifests":
                return self._manifest(request, match["repo"], name)
            if name.startswith("uploads/"):
                return self._upload(request, match["repo"], name.removeprefix("uploads/"))
            return self._blob(request, match["repo"], name)

    def _refusal(self, request: Seen) -> Reply | None:
        sent = request.headers.get("authorization", "")
        if self.bearer:
            if sent.removeprefix("Bearer ") in self.tokens:
                return None
            challenge = f'Bearer realm="{self.url}/token",service="test"'
        elif self.login is not None:
            if sent == "Basic " + base64.b64encode(":".join(self.login).encode()).decode():
                return None
            challenge = 'Basic realm="test"'
        else:
            return None
        return error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)

    def _token(self, request: Seen) -> Reply:
        query = parse_qs(urlsplit(request.path).query) | parse_qs(request.body.decode())
        if self.login is not None:
            wanted = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
            if request.headers.get("authorization") != wanted:
                return error(401, "UNAUTHORIZED", "incorrect username or password")
        token = f"token-{len(self.tokens) + 1}"
        self.tokens[token] = query.get("scope", [])
        return Reply(200, json.dumps({"token": token, "expires_in": 300}).encode())

    def _manifest(self, request: Seen, repository: str, name: str) -> Reply:
        if request.method == "PUT":
            digest = self.add(repository, name, request.headers["content-type"], request.body)
            return Reply(201, b"", {"Docker-Content-Digest": digest})
        if name not in self.manifests[repository]:
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, data = self.manifests[repository][name]
        return Reply(
            200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)}
        )

    def _blob(self, request: Seen, repository: str, name: str) -> Reply:
        data = self.blobs[repository].get(name)
        if data is None:
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if wanted is None:
            return Reply(200, data)
        start = int(wanted[1])
        if start >= len(data):
            return Reply(416)
        said = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return Reply(206, data[start:], {"Content-Range": said})

    def _upload(self, request: Seen, repository: str, rest: str) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        if request.method == "POST":
            source, digest = query.get("from", [""])[0], query.get("mount", [""])[0]
            if digest in self.blobs.get(source, {}):
                self.blobs[repository][digest] = self.blobs[source][digest]
                return Reply(201)
            self.begun += 1
            rest = f"upload-{self.begun}"
            self.uploads[rest] = bytearray()
        if rest not in self.uploads:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        content = self.uploads[rest]
        content += request.body
        place = {
            "Location": f"/v2/{repository}/blobs/uploads/{rest}?state=x",
            "Range": f"0-{max(len(content) - 1, 0)}",
        }
        if request.method != "PUT":
            return Reply(204 if request.method == "GET" else 202, b"", place)
        digest = query["digest"][0]
        if digest_of(bytes(content)) != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[repository][digest] = bytes(self.uploads.pop(rest))
        return Reply(201)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # type: ignore[mutable-override]

    def _any(self) -> None:
        owner = self.server.owner  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): text for name, text in self.headers.items()}
        reply = owner.answer(Seen(self.command, self.path, headers, body))
        if reply.hang_up:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: reply.cut])
        if reply.cut is not None:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _any  # noqa: N815

    def log_message(self, format, *args):  # noqa: A002
        pass

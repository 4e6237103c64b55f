"""Bad input from registries and the host, and the exact words a user gets for it.

The registry is one of a few lines, on loopback; what real ones say is in tests/compat.
"""

import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob(media_type, data):
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


class Registry(ThreadingHTTPServer):
    """Answers GET by path with (status, headers, body)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = f"127.0.0.1:{self.server_address[1]}"
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def publish(self, layer):
        """The image hello:1 with this one layer (compressed); its digest."""
        diff = _digest(gzip.GzipFile(fileobj=io.BytesIO(layer)).read1())
        config = json.dumps(
            {"architecture": "amd64", "os": "linux",
             "rootfs": {"type": "layers", "diff_ids": [diff]}}
        ).encode()  # fmt: skip
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(CONFIG, config),
             "layers": [_blob(LAYER, layer)]}
        ).encode()  # fmt: skip
        for name in ("1", _digest(manifest)):
            self.answers[f"/v2/hello/manifests/{name}"] = (
                200, {"Content-Type": MANIFEST}, manifest,
            )  # fmt: skip
        for data in (config, layer):
            self.answers[f"/v2/hello/blobs/{_digest(data)}"] = (200, {}, data)
        return _digest(layer)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        assert isinstance(self.server, Registry)
        status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def registry():
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def layer():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        content = bytes(range(256)) * 40
        entry = tarfile.TarInfo("greeting")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(target.getvalue(), mtime=0)


@pytest.fixture
def pull(sampan, registry):
    return lambda: sampan("-q", "cache", "pull", f"{registry.name}/hello:1")


def test_nothing_is_wrong_with_the_image(pull, registry, layer):
    registry.publish(layer)
    assert (pull().status, pull().err) == (0, "")


def test_unreachable_registry(sampan, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        name = f"127.0.0.1:{unused.getsockname()[1]}"
        (tmp_path / "a.yml").write_text(f"services: [{{name: a, image: '{name}/a:1'}}]")
        said = sampan("-q", "build", "a.yml")
    assert said.status == 1
    assert said.err == (
        f"sampan: a.yml:1:29: services[0].image: cannot reach registry {name}: Connection refused\n"
        "  hint: check its name and your network; a proxy is named by HTTPS_PROXY\n"
    )


def test_a_login_is_wanted(pull, registry):
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    registry.answers["/v2/hello/manifests/1"] = (401, challenge, b"")
    said = pull()
    assert said.status == 1
    assert said.err == (
        f"sampan: {registry.name} wants a login for hello:1 (401)\n"
        f"  hint: check the name, or log in: docker login {registry.name}, or without Docker "
        f"skopeo login --authfile ~/.docker/config.json {registry.name}\n"
    )


def test_wrong_digest(pull, registry, layer):
    digest = registry.publish(layer)
    other = bytes(len(layer))
    registry.answers[f"/v2/hello/blobs/{digest}"] = (200, {}, other)
    said = pull()
    assert said.status == 1
    assert said.err == (
        f"sampan: blob {digest[7:19]} of hello at {registry.name} is damaged: "
        f"expected {digest}, got {_digest(other)}\n"
        "  hint: fetch it again; if it stays so, the place it comes from has a bad copy\n"
    )


def test_truncated_layer(sampan, registry, layer, tmp_path):
    """The registry has what the manifest says: the image was pushed broken."""
    digest = registry.publish(layer[:-20])
    (tmp_path / "a.yml").write_text(
        f"services: [{{name: a, image: '{registry.name}/hello:1', command: [a]}}]"
    )
    said = sampan("-q", "build", "--format", "tar", "a.yml")
    assert said.status == 1
    assert said.err == (
        f"sampan: layer {digest} of {registry.name}/hello:1: the gzip stream ends too early\n"
        "  hint: fetch it again\n"
    )
    assert not (tmp_path / "a.tar").exists()


def test_layer_cut_on_its_way(pull, registry, layer):
    digest = registry.publish(layer)
    registry.answers[f"/v2/hello/blobs/{digest}"] = (200, {}, layer[:50])
    said = pull()
    assert said.status == 1
    assert said.err == (
        f"sampan: the connection to {registry.name} broke: "
        f"50 of {len(layer)} bytes of blob {digest[7:19]} came\n"
        "  hint: try again; what has arrived is kept\n"
    )


def test_no_qemu(sampan, tmp_path, monkeypatch):
    for part in ("kernel", "initrd.img", "cmdline"):
        (tmp_path / f"web-{part}").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = sampan("run", "--arch", "amd64", "web")
    assert said.status == 3
    assert said.err == (
        "sampan: qemu-system-x86_64 is not installed\n"
        "  hint: install it: apt install qemu-system-x86   (macOS: brew install qemu)\n"
    )

"""Pulling and pushing against Debian's docker-registry, with skopeo as the second opinion."""

import base64
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sampan.oci import model, transfer
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import Descriptor, ImageConfig, Index, Manifest, Platform, RootFs
from sampan.oci.reference import Reference
from sampan.oci.registry import AccessError, NotFoundError
from sampan.oci.remote import Login, Remote

TOOLS = ("docker-registry", "skopeo", "htpasswd", "openssl")
pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]
AMD64, ARM64 = Platform("amd64"), Platform("arm64")
PULLER = """
import sys
import threading
from pathlib import Path
from sampan.oci import transfer
from sampan.oci.layout import Cache
from sampan.oci.reference import Reference
class Loud:
    def start(self, label, total): return self
    def advance(self, amount):
        global left
        print("bytes", flush=True)
        left -= 1
        if left <= 0: threading.Event().wait()  # to be killed
    def finish(self, task, *, failed): pass
    def note(self, message): pass
left = int(sys.argv[3])
transfer.pull(Cache(Path(sys.argv[1])), Reference.parse(sys.argv[2]), progress=Loud())
"""


@pytest.fixture
def serve(docker_registry):
    return docker_registry


@pytest.fixture
def logged(tmp_path, wait_until):
    """The lines of the registry's log with `text`, once there are `count`.

    It writes them when it has answered.
    """

    def find(text, count=1):
        def lines():
            log = (tmp_path / "registry.log").read_text()
            return [line for line in log.splitlines() if text in line]

        wait_until(lambda: len(lines()) >= count, f"{count} of {text} in the log")
        return lines()

    return find


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def put_image(cache, platform, content):
    packed = gzip.compress(content, 1, mtime=0)
    config = model.encode(
        ImageConfig(
            architecture=platform.architecture,
            os=platform.os,
            rootfs=RootFs(diff_ids=(Digest.of(content),)),
        )
    )
    manifest = model.encode(
        Manifest(
            config=Descriptor(model.OCI_CONFIG, cache.put_blob(config), len(config)),
            layers=(Descriptor(model.OCI_LAYER_GZIP, cache.put_blob(packed), len(packed)),),
        )
    )
    return Descriptor(model.OCI_MANIFEST, cache.put_blob(manifest), len(manifest), platform)


def put_index(cache, name, size=1000):
    images = (
        put_image(cache, AMD64, os.urandom(size)),
        put_image(cache, ARM64, os.urandom(size)),
    )
    data = model.encode(Index(manifests=images))
    root = Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data))
    cache.tag(Reference.parse(name), root)
    return root


def skopeo(*arguments):
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True).stdout


def test_a_round_trip_and_skopeo_in_between(serve, cache, tmp_path):
    host = serve()
    root = put_index(cache, f"{host}/test/web:1")
    transfer.push(cache, Reference.parse(f"{host}/test/web:1"))
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/test/web:1")
    assert Digest.of(raw) == root.digest
    skopeo(
        "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
        f"docker://{host}/test/web:1", f"docker://{host}/by/skopeo:2",
    )  # fmt: skip
    other = Cache(tmp_path / "other")
    pulled = transfer.pull(other, Reference.parse(f"{host}/by/skopeo:2"))
    assert pulled.digest == root.digest
    assert set(other.blobs) == set(cache.blobs)


def test_one_platform_of_an_index(serve, cache, tmp_path):
    host = serve()
    name = Reference.parse(f"{host}/test/web:1")
    put_index(cache, str(name))
    transfer.push(cache, name)
    other = Cache(tmp_path / "other")
    transfer.pull(other, name, platforms=[ARM64])
    assert other.image(name, ARM64).platform == ARM64
    assert len(list(other.blobs)) == 4  # index, manifest, config, layer


def test_docker_images_of_skopeo(serve, cache, tmp_path):
    host = serve()
    put_index(cache, f"{host}/test/web:1")
    transfer.push(cache, Reference.parse(f"{host}/test/web:1"))
    skopeo(
        "copy", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false",
        "--override-arch", "amd64", f"docker://{host}/test/web:1", f"docker://{host}/docker/web:1",
    )  # fmt: skip
    name = Reference.parse(f"{host}/docker/web:1")
    pulled = transfer.pull(cache, name, platforms=[AMD64])
    assert pulled.media_type == model.DOCKER_MANIFEST
    assert cache.image(name, AMD64).layers[0].media_type == model.DOCKER_LAYER_GZIP


def test_blobs_of_a_neighbour_are_mounted_and_large_ones_go_in_chunks(
    serve, cache, logged, tmp_path
):
    host = serve()
    put_index(cache, f"{host}/test/web:1", size=40 << 20)
    transfer.push(cache, Reference.parse(f"{host}/test/web:1"))
    target = Reference.parse(f"{host}/other/web:1")
    transfer.push(cache, Reference.parse(f"{host}/test/web:1"), target=target)
    assert len(logged('"PATCH /v2/test/web/', 4)) == 4  # two layers of two chunks
    assert len(logged('"POST /v2/other/web/blobs/uploads/?mount=', 4)) == 4
    assert "PATCH /v2/other/web/" not in (tmp_path / "registry.log").read_text()


def test_with_htpasswd(serve, cache, tmp_path):
    users = tmp_path / "users"
    users.write_bytes(
        subprocess.run(
            ["htpasswd", "-nbB", "me", "secret"], check=True, capture_output=True
        ).stdout.strip() + b"\n"
    )  # fmt: skip
    host = serve({"htpasswd": {"realm": "test", "path": str(users)}})
    name = Reference.parse(f"{host}/test/web:1")
    root = put_index(cache, str(name))
    with pytest.raises(AccessError) as caught:
        transfer.push(cache, name)
    assert str(caught.value) == f"{host} wants a login for test/web:1 (401)"
    with pytest.raises(AccessError):
        transfer.push(cache, name, remote=Remote(logins=(Login(host, "me", "wrong"),)))
    skopeo("login", "--authfile", str(tmp_path / "config.json"), "--tls-verify=false",
           "-u", "me", "-p", "secret", host)  # fmt: skip
    remote = Remote(docker_config=tmp_path / "config.json")
    transfer.push(cache, name, remote=remote)
    assert transfer.pull(Cache(tmp_path / "b"), name, remote=remote).digest == root.digest


class TokenServer:
    """Gives whoever knows the password a token (JWT, RS256) for what is asked."""

    issuer = "issuer.test"

    def __init__(self, folder):
        self.folder = folder
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem",
             "-out", "ca.pem", "-days", "2", "-subj", "/CN=test"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        self.certificate = folder / "ca.pem"
        self.scopes = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = "Basic " + base64.b64encode(b"me:secret").decode()
                known = self.headers.get("Authorization") == wanted
                scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
                body = json.dumps({"token": outer.token(scopes)}).encode() if known else b"{}"
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def token(self, scopes):
        self.scopes += scopes
        pem = self.certificate.read_text().splitlines()
        header = {"alg": "RS256", "typ": "JWT", "x5c": ["".join(pem[1:-1])]}
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "me", "aud": "registry.test", "jti": "1",
            "iat": now, "nbf": now - 60, "exp": now + 600, "access": access,
        }  # fmt: skip
        signed = b".".join(_url64(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", "key.pem"],
            cwd=self.folder, input=signed, check=True, capture_output=True,
        ).stdout  # fmt: skip
        return (signed + b"." + _url64(signature)).decode()


def _url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.fixture
def token_server(tmp_path):
    server = TokenServer(tmp_path)
    yield server
    server.close()


def test_with_bearer_tokens(serve, token_server, cache, tmp_path):
    host = serve(
        {
            "token": {
                "realm": token_server.realm,
                "service": "registry.test",
                "issuer": token_server.issuer,
                "rootcertbundle": str(token_server.certificate),
            }
        }
    )
    name = Reference.parse(f"{host}/test/web:1")
    root = put_index(cache, str(name))
    with pytest.raises(AccessError) as caught:
        transfer.push(cache, name)
    assert str(caught.value) == f"{host} wants a login for test/web (401)"
    remote = Remote(logins=(Login(host, "me", "secret"),))
    transfer.push(cache, name, remote=remote)
    assert transfer.pull(Cache(tmp_path / "b"), name, remote=remote).digest == root.digest
    assert set(token_server.scopes) == {
        "repository:test/web:pull,push",
        "repository:test/web:pull",
    }
    target = Reference.parse(f"{host}/other/web:1")
    transfer.push(cache, name, target=target, remote=remote)  # mounts need a token for both


def test_no_such_tag(serve, cache):
    host = serve()
    with pytest.raises(NotFoundError) as caught:
        transfer.pull(cache, Reference.parse(f"{host}/no/such:1"))
    assert str(caught.value) == f"{host} has no no/such:1: manifest unknown"


def start_pull(folder: Path, name: str, steps: int = sys.maxsize) -> subprocess.Popen[bytes]:
    """A process that pulls, and goes no further after so many steps, each of which it tells."""
    argv = [sys.executable, "-c", PULLER, str(folder), name, str(steps)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def test_a_pull_that_is_killed_is_taken_up(serve, cache, logged, tmp_path):
    host = serve()
    name = f"{host}/test/web:1"
    root = put_index(cache, name, size=60 << 20)
    transfer.push(cache, Reference.parse(name))
    folder = tmp_path / "other"
    with start_pull(folder, name, steps=20) as child:
        assert child.stdout is not None
        for _ in range(20):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    other = Cache(folder)
    assert other.find(Reference.parse(name)) is None
    assert any(path.stat().st_size for path in (folder / "partial").iterdir())
    assert transfer.pull(other, Reference.parse(name)).digest == root.digest
    assert logged(" 206 ")


def test_two_processes_pull_into_one_cache(serve, cache, logged, tmp_path):
    host = serve()
    name = f"{host}/test/web:1"
    put_index(cache, name, size=20 << 20)
    transfer.push(cache, Reference.parse(name))
    folder = tmp_path / "other"
    with start_pull(folder, name) as one, start_pull(folder, name) as two:
        one.communicate()
        two.communicate()
    assert (one.returncode, two.returncode) == (0, 0)
    other = Cache(folder)
    assert set(other.blobs) == set(cache.blobs)
    assert len(other.entries()) == 1
    assert len(logged('"GET /v2/test/web/blobs/', 4)) == 4  # each blob once

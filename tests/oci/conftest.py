"""Images made by hand: what the tests of this package put into a cache."""

import gzip
import importlib.util
import io
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.base.entry import Entry, Kind
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache, Image
from sampan.oci.model import Descriptor, ImageConfig, Manifest, Platform, RootFs
from sampan.oci.reference import Reference
from sampan.oci.tar import Writer

Item = tuple[Entry, bytes]
AMD64 = Platform("amd64")


def make_layer(items: Iterable[Item]) -> bytes:
    stream = io.BytesIO()
    with Writer(stream) as writer:
        for entry, content in items:
            writer.add(entry, [content])
    return stream.getvalue()


@pytest.fixture(scope="session")
def layer() -> Callable[[Iterable[Item]], bytes]:
    """The uncompressed archive of some entries with their contents."""
    return make_layer


@pytest.fixture(scope="session")
def item() -> Callable[..., Item]:
    """An entry with its content: `item("a/b", b"text")`, `item("d/")`, `item("l", to="a")`."""

    def make(name: str, content: bytes = b"", *, to: str = "", link: str = "", **fields) -> Item:
        if to:
            return Entry(name, Kind.SYMLINK, 0o777, target=to, **fields), b""
        if link:
            return Entry(name, Kind.HARDLINK, 0o644, target=link, **fields), b""
        if name.endswith("/"):
            return Entry(name.rstrip("/"), Kind.DIRECTORY, 0o755, **fields), b""
        fields = {"mode": 0o644} | fields
        return Entry(name, Kind.FILE, size=len(content), **fields), content

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="session")
def put_manifest() -> Callable[..., Descriptor]:
    """Put an image of those uncompressed layers into a cache, without a name."""

    def put(
        cache: Cache,
        layers: Iterable[bytes],
        *,
        pack: Callable[[bytes], bytes] = lambda data: gzip.compress(data, mtime=0),
        platform: Platform = AMD64,
    ) -> Descriptor:
        layers = tuple(layers)
        packed = [pack(data) for data in layers]
        config = model.encode(
            ImageConfig(
                architecture=platform.architecture,
                os=platform.os,
                variant=platform.variant,
                rootfs=RootFs(diff_ids=tuple(map(Digest.of, layers))),
            )
        )
        manifest = model.encode(
            Manifest(
                config=Descriptor(model.OCI_CONFIG, cache.put_blob(config), len(config)),
                layers=tuple(
                    Descriptor(model.OCI_LAYER_GZIP, cache.put_blob(data), len(data))
                    for data in packed
                ),
            )
        )
        digest = cache.put_blob(manifest)
        return Descriptor(model.OCI_MANIFEST, digest, len(manifest), platform)

    return put


@pytest.fixture
def put_image(cache: Cache, put_manifest: Callable[..., Descriptor]) -> Callable[..., Image]:
    """Put an image into the cache under a name."""

    def put(layers: Iterable[bytes], name: str = "test/image:1", **options) -> Image:
        reference = Reference.parse(name)
        cache.tag(reference, put_manifest(cache, layers, **options))
        return cache.image(reference, options.get("platform", AMD64))

    return put


def _scripted() -> Any:
    """The module beside this one; test folders are no packages."""
    name = "scripted_registry"
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def new_registry() -> Iterator[Callable[..., Any]]:
    """Start a registry in memory (scripted_registry.py); all are closed at the end."""
    started: list[Any] = []

    def start(context: ssl.SSLContext | None = None) -> Any:
        started.append(_scripted().ScriptedRegistry(context))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def registry(new_registry: Callable[..., Any]) -> Any:
    """One registry in memory, on plain HTTP."""
    return new_registry()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, which is also the certificate of 127.0.0.1: `ca.pem` with its `key.pem` beside."""
    folder = tmp_path_factory.mktemp("authority")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", "key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "ca.pem"


@pytest.fixture
def tls_registry(new_registry: Callable[..., Any], authority: Path) -> Any:
    """One registry in memory, on TLS with a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_name("key.pem"))
    return new_registry(context)


@pytest.fixture
def publish(
    tmp_path: Path, put_manifest: Callable[..., Descriptor]
) -> Callable[..., tuple[Cache, Descriptor]]:
    """Make an image and give it to a registry in memory; returns a cache that has it too."""

    def make(server: Any, layers: Iterable[bytes], *, repository: str = "test/image",
             tag: str = "1", **options: Any) -> tuple[Cache, Descriptor]:  # fmt: skip
        cache = Cache(tmp_path / "origin")
        root = put_manifest(cache, layers, **options)
        for digest in cache.blobs:
            server.blobs[repository][digest] = cache.read_blob(digest, 1 << 30)
        server.add(repository, tag, root.media_type, cache.read_blob(root.digest))
        return cache, root

    return make

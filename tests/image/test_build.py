"""The whole way, through the function that the command line calls."""

import errno
import io
import tarfile

import pytest

from sampan import spec as specs
from sampan.errors import DocumentError, SampanError, UnsupportedError, UsageError
from sampan.formats.codec import Compression
from sampan.image import build as builds
from sampan.image.build import Options
from sampan.image.output import Output
from sampan.machine import initrd
from sampan.oci.compression import detect
from sampan.oci.layout import BlobMissingError, CacheBusyError
from sampan.oci.model import ContainerConfig, Platform
from sampan.oci.reference import Reference

YAML = """
kernel: {image: "k:1", cmdline: "console=ttyS0"}
init: ["base:1"]
services: [{name: one, image: "app:1"}]
files: [{path: etc/motd, contents: hi}]
"""
AMD64 = Platform("amd64")
OUTPUTS = ["web-cmdline", "web-initrd.img", "web-kernel"]


def bzimage(version):
    head = bytearray(0x400)
    head[0x202:0x208] = b"HdrS\x0f\x02"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    head[0x300:] = version.encode().ljust(0x100, b"\0")
    return bytes(head)


@pytest.fixture
def images(add_image, tar_bytes):
    add_image("k:1", {"kernel": bzimage("6.12.9 x"), "kernel.tar": tar_bytes({"m": b"1"})})
    add_image("base:1", {"init": b"i", "big": b"x" * 100_000})
    add_image("app:1", {"app": b"x", "big": b"x" * 100_000})


@pytest.fixture
def build(cache, images, tmp_path):
    """A function: text, formats, keys of build and of Options → names of outputs."""
    folder = tmp_path / "out"
    folder.mkdir()

    def run(text=YAML, formats=(), output=None, platform=AMD64, **options):
        spec = specs.load([specs.Source.text(text, "t")])
        done = builds.build(
            spec, cache=cache, platform=platform, formats=formats,
            output=output or Output(folder, "web"), options=Options(**options),
        )  # fmt: skip
        assert all(path.exists() for path in done.outputs)
        return sorted(path.name for path in folder.iterdir())

    run.folder = folder  # type: ignore[attr-defined]
    return run


def test_kernel_and_initrd_by_default(build):
    assert build() == OUTPUTS
    assert (build.folder / "web-cmdline").read_bytes() == b"console=ttyS0"
    assert (build.folder / "web-kernel").read_bytes() == bzimage("6.12.9 x")
    assert initrd.measure(build.folder / "web-initrd.img").pages > 25


def test_three_files_that_belong_together_come_together(build, monkeypatch):
    assert build() == OUTPUTS
    before = [(build.folder / name).read_bytes() for name in OUTPUTS]

    def full(work, files, target):
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(builds, "_write_kernel", full)
    with pytest.raises(SampanError, match="web-kernel cannot be written: no space left on device"):
        build(YAML.replace("contents: hi", "contents: changed"))
    assert sorted(path.name for path in build.folder.iterdir()) == OUTPUTS
    assert [(build.folder / name).read_bytes() for name in OUTPUTS] == before


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "etc/sbom.json", "/sbom.json"])
def test_the_list_of_contents_lies_at_the_top(build, name):
    with pytest.raises(UsageError) as caught:
        build(sbom_name=name)
    assert str(caught.value) == f"the list of contents cannot be called {name!r}"
    assert list(build.folder.iterdir()) == []


def test_every_format_at_once(build):
    formats = ["kernel+initrd", "tar", "docker", "tar-kernel-initrd"]
    assert build(formats=formats) == sorted([*OUTPUTS, "web.tar", "web.docker", "web-initrd.tar"])
    with tarfile.open(build.folder / "web.docker") as docker:
        assert docker.extractfile("Dockerfile").read().startswith(b"FROM scratch\n")
    with tarfile.open(build.folder / "web-initrd.tar") as all_three:
        assert all_three.getnames() == ["kernel", "initrd.img", "cmdline"]
        packed = all_three.extractfile("initrd.img").read()
    assert packed == (build.folder / "web-initrd.img").read_bytes()


def test_formats_of_the_document_when_none_is_asked_for(build):
    text = YAML + "outputs: [{format: tar}]\n"
    assert build(text) == ["web.tar"]
    assert build(text, ["kernel+initrd"]) == sorted(["web.tar", *OUTPUTS])


def test_the_same_bytes_from_run_to_run_and_in_another_cache(build, tmp_path):
    def outputs():
        return {path.name: path.read_bytes() for path in build.folder.iterdir()}

    build(formats=["tar", "kernel+initrd"])
    first = outputs()
    for step in (tmp_path / "cache" / "steps").iterdir():
        step.unlink()
    build(formats=["tar", "kernel+initrd"])
    assert outputs() == first


@pytest.mark.parametrize(
    ("version", "asked", "found"),
    [
        ("6.12.9", None, Compression.ZSTD),
        ("4.9.36", None, Compression.GZIP),
        ("4.9.36", Compression.NONE, Compression.NONE),
    ],
)
def test_compression_is_what_the_kernel_can_unpack(build, add_image, version, asked, found):
    add_image("k:1", {"kernel": bzimage(version)})
    build(YAML.replace("cmdline:", "tar: none, cmdline:"), compression=asked)
    start = (build.folder / "web-initrd.img").read_bytes()[:6]
    assert detect(start).value == found.value


def rot(path, at=40):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_steps_that_rotted_are_made_again(build, tmp_path):
    build()
    first = {path.name: path.read_bytes() for path in build.folder.iterdir()}
    steps = list((tmp_path / "cache" / "steps").iterdir())
    assert len(steps) > 3
    for step in steps:
        rot(step, step.stat().st_size // 2)
    build()
    assert {path.name: path.read_bytes() for path in build.folder.iterdir()} == first


def test_a_layer_that_rotted_is_had_anew(build, cache, add_image, tmp_path):
    files = {
        "app:1": {"app": b"x", "big": b"x" * 100_000},
        "base:1": {"init": b"i", "big": b"x" * 100_000},
    }
    for name in files:
        image = cache.image(Reference.parse(name), AMD64)
        rot(cache.blobs.path(image.layers[0].digest))
    asked = []

    def fetch(reference, progress):
        asked.append(reference.familiar)
        add_image(reference.familiar, files[reference.familiar])

    assert build(fetch=fetch) == OUTPUTS
    assert sorted(asked) == sorted(files)


def test_a_layer_that_rotted_and_cannot_be_had_is_named(build, cache):
    app = cache.image(Reference.parse("app:1"), AMD64)
    rot(cache.blobs.path(app.layers[0].digest))
    with pytest.raises(BlobMissingError, match=app.layers[0].digest):
        build()
    assert list(build.folder.iterdir()) == []


def test_nobody_cleans_the_cache_while_it_is_built_from(build, cache, add_image):
    def fetch(reference, progress):
        with pytest.raises(CacheBusyError):
            cache.clean()
        add_image("new:1", {"app": b"x"})

    build(YAML.replace("app:1", "new:1"), fetch=fetch)


def test_one_file_or_stream(build, tmp_path):
    stream = io.BytesIO()
    build(formats=["tar"], output=Output(tmp_path, "web", stream=stream))
    build(formats=["tar"], output=Output(tmp_path, "web", file=tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == stream.getvalue()


def test_source_date_epoch(build):
    build(formats=["tar"], epoch_s=1_000_000_000)
    with tarfile.open(build.folder / "web.tar") as opened:
        assert opened.getmember("etc/motd").mtime == 1_000_000_000
        assert opened.getmember("init").mtime == 1_600_000_000


@pytest.mark.parametrize(
    ("keys", "kind", "message", "hint"),
    [
        (
            {"platform": Platform("vax")}, UsageError, "unknown architecture 'vax'",
            "there are amd64, arm64, riscv64, s390x",
        ),
        (
            {"platform": Platform("arm64")}, SampanError,
            "kernel.image: k:1 is not in the cache for linux/arm64; there is linux/amd64",
            "sampan cache pull --platform linux/arm64 k:1",
        ),
        ({"formats": ["tarr"]}, UsageError, "there is no format 'tarr'", None),
        (
            {"formats": ["iso-efi"]}, UnsupportedError,
            "this version of sampan cannot do the format iso-efi: it is not there yet", None,
        ),
        (
            {"text": YAML.replace("hi}", "hi}, {path: x, source: /no/x}")}, DocumentError,
            "files[1].source: /no/x: no such file or directory", None,
        ),
        (
            {"text": YAML.replace("etc/motd", "etc/" + "m" * 256)}, DocumentError,
            f"files[0].path: '{'m' * 80}'... has 256 bytes, and filesystems take 255", None,
        ),
        (
            {"text": YAML.replace("base:1", "no:1")}, SampanError,
            "init[0]: no:1 is not in the cache", "sampan cache pull no:1",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_built(build, keys, kind, message, hint):
    with pytest.raises(kind) as caught:
        build(**keys)
    assert str(caught.value).splitlines()[0] == message
    if hint:
        assert caught.value.hint == hint
    assert list(build.folder.iterdir()) == []


def test_several_formats_do_not_go_into_one_file(build, tmp_path):
    for formats in (["tar", "docker"], ["kernel+initrd"]):
        with pytest.raises(UsageError, match="only one format that is a single file"):
            build(formats=formats, output=Output(tmp_path, "web", file=tmp_path / "x"))


def test_a_label_that_asks_for_a_volume_that_is_not_there(build, add_image):
    label = {"org.mobyproject.config": '{"binds": ["data:/data"]}'}
    add_image("app:1", {"app": b"x"}, config=ContainerConfig(cmd=("/app",), labels=label))
    with pytest.raises(DocumentError, match=r"services\[0\].binds: there is no volume 'data'"):
        build()

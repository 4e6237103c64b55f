"""`sampan build` as a function: gather, plan, assemble.

The one place of this package that knows the whole way. Formats are functions in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from sampan.base import fs
from sampan.base.entry import Entry, Kind
from sampan.base.progress import SILENT, Progress
from sampan.errors import UsageError
from sampan.formats import catalog, kernel
from sampan.formats.codec import Compression
from sampan.image.assemble import Assembler
from sampan.image.component import components
from sampan.image.finder import Fetch, Finder, Packages
from sampan.image.gather import Gatherer
from sampan.image.larder import Larder
from sampan.image.output import Output, explained, writing
from sampan.image.plan import make_plan
from sampan.image.pour import chunks_of
from sampan.image.step import FIXED_MTIME_S, KernelFiles, Made, Plan
from sampan.image.store import Store
from sampan.oci import tar
from sampan.oci.digest import Digest
from sampan.oci.layout import BlobMissingError, Cache, DamagedBlobError, Image
from sampan.oci.model import Platform
from sampan.spec.model import Spec

ARCHITECTURES = ("amd64", "arm64", "riscv64", "s390x")
DEFAULT_FORMATS = ("kernel+initrd",)
_DOCKERFILE = b'FROM scratch\nCOPY . ./\nENTRYPOINT ["/bin/rc.init"]\n'
_STORED_SBOM = "sbom 1"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a system is built.

    `compression` of the initrd: what the kernel can unpack, zstd if it can, when None.
    `epoch_s` (SOURCE_DATE_EPOCH) is the time of everything that no image brings; `created_s`
    the one in the SBOM, if it is to be another. `fetch` brings missing images from registries;
    with `pull` all images are asked for anew. `packages` says how the catalog's packages are
    built. `home` is what `~/` means in sources.
    """

    compression: Compression | None = None
    decompress_kernel: bool = False
    sbom_name: str | None = "sbom.spdx.json"
    epoch_s: int = FIXED_MTIME_S
    created_s: int | None = None
    fetch: Fetch | None = None
    pull: bool = False
    packages: Packages | None = None
    home: Path = Path("~")


class BuildResult(msgspec.Struct, frozen=True):
    """What was written."""

    outputs: tuple[Path, ...]


class _Work(msgspec.Struct, frozen=True):
    """What the formats write from."""

    plan: Plan
    assembler: Assembler
    output: Output
    options: Options


def formats_of(spec: Spec, asked: Sequence[str] = ()) -> tuple[catalog.Format, ...]:
    """The formats to build: those asked for, else those the document names, else the default.

    Raises:
        UnsupportedError: a format is known but not there yet.
        UsageError: there is no such format, or it does not go with the others.
    """
    named = tuple(asked) or tuple(one.format for one in spec.outputs) or DEFAULT_FORMATS
    return catalog.choose(named)


def build(
    spec: Spec,
    *,
    cache: Cache,
    platform: Platform,
    formats: Sequence[str] = (),
    output: Output,
    options: Options | None = None,
    progress: Progress = SILENT,
) -> BuildResult:
    """Build the system that `spec` describes and write it in `formats`.

    Blobs that were damaged on disk are had anew, each once. While it runs nobody can clean the cache.

    Raises:
        SampanError: with what is wrong; no output is left half-written.
    """
    options = options or Options()
    chosen = formats_of(spec, formats)
    _check(platform, chosen, output)
    _check_sbom_name(options.sbom_name)
    lost: set[Digest] = set()
    with cache.adding():
        while True:
            try:
                return _build(spec, cache, platform, chosen, output, options, progress)
            except (BlobMissingError, DamagedBlobError) as error:
                # what went into a stream cannot be taken back
                if error.digest in lost or output.stream is not None:
                    raise
                lost.add(error.digest)
                progress.note(f"{error}; having it anew")


def _check_sbom_name(name: str | None) -> None:
    if name is not None and ("/" in name or "\0" in name or name in ("", ".", "..")):
        raise UsageError(
            f"the list of contents cannot be called {name!r}",
            hint="it lies at the top of the system: say only what it is called there, such as sbom.json",
        )


def _build(
    spec: Spec,
    cache: Cache,
    platform: Platform,
    formats: Sequence[catalog.Format],
    output: Output,
    options: Options,
    progress: Progress,
) -> BuildResult:
    finder = Finder(
        cache,
        platform,
        fetch=options.fetch,
        pull=options.pull,
        packages=options.packages,
        progress=progress,
    )
    with explained(cache.root):
        store, larder = Store(cache.root / "steps"), Larder(cache)
        gatherer = Gatherer(finder, larder, store)
        supplies = gatherer.gather(spec, home=options.home)
        for line in components(spec, gatherer.images):
            progress.note(line)
        if options.sbom_name:
            found = _sbom(gatherer.images.values(), store, options)
            supplies = msgspec.structs.replace(supplies, sbom=found)
    plan = make_plan(spec, supplies, mtime_s=options.epoch_s, sbom_name=options.sbom_name or "")
    work = _Work(plan, Assembler(store, larder, progress), output, options)
    written = tuple(path for one in formats for path in _WRITERS[one.name](work))
    store.trim()
    return BuildResult(written)


def _check(platform: Platform, formats: Sequence[catalog.Format], output: Output) -> None:
    if platform.architecture not in ARCHITECTURES:
        raise UsageError(
            f"unknown architecture {platform.architecture!r}",
            hint=f"there are {', '.join(ARCHITECTURES)}",
        )
    if (output.file or output.stream) and (len(formats) != 1 or not formats[0].streams):
        streaming = ", ".join(one.name for one in catalog.FORMATS.values() if one.streams)
        raise UsageError(
            "only one format that is a single file can be written there",
            hint=f"say which with --format: {streaming}",
        )
    output.check()


def _sbom(images: Iterable[Image], store: Store, options: Options) -> bytes | None:
    created_s = options.epoch_s if options.created_s is None else options.created_s
    unique = {str(image.digest): image for image in images}
    path = store.path(_STORED_SBOM, str(created_s), *unique)
    with store.open(path) as found:
        if found is not None:
            return found.read() or None
    from sampan.image import sbom  # slow to import

    statements = (
        (image.reference.canonical, statement)
        for image in unique.values()
        for statement in image.attestations()
    )
    document = sbom.merge(statements, created_s=created_s)
    store.make(path, lambda out: out.writelines([document or b""]))
    return document


def _write_kernel_initrd(work: _Work) -> list[Path]:
    paths = [work.output.path(suffix) for suffix in catalog.FORMATS["kernel+initrd"].suffixes]
    kernel_path, initrd_path, cmdline_path = paths
    compression = _compression(work)
    if work.plan.kernel is None:
        with writing(initrd_path) as target:
            work.assembler.write_initrd(work.plan, compression, target)
        return [initrd_path]
    # all three or none: an initrd with another build's kernel boots without its modules
    with (
        writing(cmdline_path) as cmdline,
        writing(kernel_path) as binary,
        writing(initrd_path) as initrd,
    ):
        work.assembler.write_initrd(work.plan, compression, initrd)
        # what fails for want of room fails before any is there
        with explained(kernel_path):
            _write_kernel(work, work.plan.kernel, binary)
            binary.flush()
        with explained(cmdline_path):
            cmdline.write(work.plan.cmdline.encode())
            cmdline.flush()
    return paths


def _write_tar(work: _Work) -> list[Path]:
    return _write_archive(work, ".tar", ())


def _write_docker(work: _Work) -> list[Path]:
    entry = _entry(work, "Dockerfile", len(_DOCKERFILE))
    return _write_archive(work, ".docker", (Made(entry, _DOCKERFILE),))


def _write_archive(work: _Work, suffix: str, extra: Sequence[Made]) -> list[Path]:
    if work.output.stream is not None:
        work.assembler.write_tar(work.plan, work.output.stream, extra)
        return []
    path = work.output.path(suffix)
    with writing(path) as target:
        work.assembler.write_tar(work.plan, target, extra)
    return [path]


def _write_tar_kernel_initrd(work: _Work) -> list[Path]:
    import tempfile  # slow to import

    path = work.output.path("-initrd.tar")
    files = work.plan.kernel
    bare = None if files is None else msgspec.structs.replace(files, ucode=None)
    plan = msgspec.structs.replace(work.plan, kernel=bare)
    with writing(path) as target, tempfile.TemporaryFile(dir=path.parent) as initrd:
        work.assembler.write_initrd(plan, _compression(work), initrd)
        size = initrd.tell()
        initrd.seek(0)
        with tar.Writer(target) as writer:
            if files is not None:
                writer.add(_entry(work, "kernel", files.binary.size), chunks_of(files.binary))
            writer.add(_entry(work, "initrd.img", size), iter(lambda: initrd.read(1 << 20), b""))
            cmdline = work.plan.cmdline.encode()
            writer.add(_entry(work, "cmdline", len(cmdline)), [cmdline])
            if files is not None and files.ucode is not None:
                writer.add(_entry(work, "ucode.cpio", files.ucode.size), chunks_of(files.ucode))
    return [path]


def _entry(work: _Work, name: str, size: int) -> Entry:
    return Entry(name, Kind.FILE, 0o644, mtime_ns=work.options.epoch_s * 10**9, size=size)


def _compression(work: _Work) -> Compression:
    """What was asked for, else the best that the kernel can unpack."""
    asked, files = work.options.compression, work.plan.kernel
    if asked is not None:
        return asked
    if files is not None and not kernel.read_kernel(files.binary.path).unpacks_zstd:
        return Compression.GZIP
    return Compression.ZSTD


def _write_kernel(work: _Work, files: KernelFiles, target: IO[bytes]) -> None:
    if work.options.decompress_kernel:
        kernel.decompress(files.binary.path, target)
        return
    with files.binary.path.open("rb") as source:
        fs.copy_range(source.fileno(), target.fileno(), files.binary.size)


_WRITERS: dict[str, Callable[[_Work], list[Path]]] = {
    "kernel+initrd": _write_kernel_initrd,
    "tar": _write_tar,
    "docker": _write_docker,
    "tar-kernel-initrd": _write_tar_kernel_initrd,
}

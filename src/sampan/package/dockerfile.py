"""Packages with a Dockerfile: the command lines of the container builders that make them.

`buildah` (needs no daemon) or `docker buildx`, whichever is there. Command lines are pure; one
function runs them. What comes out is an OCI archive; what becomes of it is not known here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sampan.base import proc
from sampan.base.progress import SILENT, Progress, task
from sampan.errors import SampanError, ToolMissingError
from sampan.oci.model import Platform
from sampan.package.recipe import ExtraSource


class Builder(StrEnum):
    """A program that builds images from Dockerfiles."""

    BUILDAH = "buildah"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class Job:
    """One build. `labels` and `arguments` are pairs; `name` is the image's canonical name.

    `storage` is a folder for buildah's own images (None: those of the user, so that base
    images are fetched once); `epoch_s` the time of all files, where the builder can set it.
    """

    context: Path
    dockerfile: str
    platform: Platform
    name: str
    output: Path
    arguments: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    network: bool = False
    cached: bool = True
    pull: bool = False
    storage: Path | None = None
    epoch_s: int | None = None


def buildah_argv(job: Job) -> tuple[str, ...]:
    """The command line of `buildah` that writes `job.output` as an OCI archive."""
    words = ["buildah"]
    if job.storage is not None:
        words += ["--root", f"{job.storage}/root", "--runroot", f"{job.storage}/run"]
        words += ["--storage-driver", "vfs"]
    words += ["build", "--format", "oci", "--platform", str(job.platform)]
    words += ["--network", "host" if job.network else "none"]
    words += ["--layers" if job.cached else "--no-cache"]
    words += ["--pull-always"] if job.pull else []
    words += [] if job.epoch_s is None else ["--timestamp", str(job.epoch_s)]
    words += _pairs("--build-arg", job.arguments) + _pairs("--label", job.labels)
    words += ["--tag", f"oci-archive:{job.output}:{job.name}"]
    words += ["--file", str(job.context / job.dockerfile), str(job.context)]
    return tuple(words)


def docker_argv(job: Job) -> tuple[str, ...]:
    """The command line of `docker buildx` that writes `job.output` as an OCI archive."""
    words = ["docker", "buildx", "build", "--platform", str(job.platform)]
    words += ["--network", "default" if job.network else "none"]
    words += [] if job.cached else ["--no-cache"]
    words += ["--pull"] if job.pull else []
    words += ["--attest", "type=sbom", "--provenance=false"]
    if job.epoch_s is not None:
        words += ["--build-arg", f"SOURCE_DATE_EPOCH={job.epoch_s}"]
    words += _pairs("--build-arg", job.arguments) + _pairs("--label", job.labels)
    words += ["--output", f"type=oci,dest={job.output},name={job.name}"]
    words += ["--file", str(job.context / job.dockerfile), str(job.context)]
    return tuple(words)


def argv(builder: Builder, job: Job) -> tuple[str, ...]:
    """The command line of `builder` for `job`."""
    return buildah_argv(job) if builder is Builder.BUILDAH else docker_argv(job)


def choose_builder() -> Builder:
    """The builder to use: buildah, else docker with its buildx plugin.

    Raises:
        ToolMissingError: there is neither.
    """
    if proc.has_tool("buildah"):
        return Builder.BUILDAH
    buildx = ["docker", "buildx", "version"]
    if proc.has_tool("docker") and proc.run(buildx, check=False).status == 0:
        return Builder.DOCKER
    raise ToolMissingError(
        "a package with a Dockerfile needs buildah, or docker with its buildx plugin",
        hint="install one: apt install buildah",
    )


def run(job: Job, *, builder: Builder | None = None, progress: Progress = SILENT) -> None:
    """Build `job`; its output is there afterwards.

    Raises:
        ToolMissingError: no builder is installed.
        ChildError: the builder failed; what it said is in the message.
    """
    builder = builder or choose_builder()
    with task(progress, f"{builder} build {job.name} for {job.platform}"):
        proc.run(argv(builder, job))


@contextmanager
def context(folder: Path, extra: Sequence[ExtraSource], *, copied: bool = False) -> Iterator[Path]:
    """The folder to build in: `folder` itself, or a copy that has the extra sources in it.

    `copied` asks for a copy in any case, so that more can be put into it.

    Raises:
        SampanError: an extra source does not exist.
    """
    if not extra and not copied:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="sampan-context-") as room:
        copy = Path(room) / "context"
        shutil.copytree(folder, copy, symlinks=True)
        for item in extra:
            source = folder / item.source
            place = copy / item.destination
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copy2(source, place)
            else:
                raise SampanError(f"{source}: no such file; extra-sources of {folder} names it")
        yield copy


def _pairs(flag: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [word for name, value in pairs for word in (flag, f"{name}={value}")]

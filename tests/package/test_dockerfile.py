from pathlib import Path

import pytest

from sampan.base import proc
from sampan.errors import SampanError, ToolMissingError
from sampan.oci.model import Platform
from sampan.package import dockerfile
from sampan.package.dockerfile import Builder, Job
from sampan.package.recipe import ExtraSource

JOB = Job(
    context=Path("/src"),
    dockerfile="Dockerfile",
    platform=Platform("arm64"),
    name="docker.io/org/x:1-arm64",
    output=Path("/out.tar"),
    arguments=(("A", "b c"),),
    labels=(("l", "{}"),),
)


def test_buildah():
    assert dockerfile.argv(Builder.BUILDAH, JOB) == (
        "buildah", "build", "--format", "oci", "--platform", "linux/arm64",
        "--network", "none", "--layers",
        "--build-arg", "A=b c", "--label", "l={}",
        "--tag", "oci-archive:/out.tar:docker.io/org/x:1-arm64",
        "--file", "/src/Dockerfile", "/src",
    )  # fmt: skip


def test_docker():
    assert dockerfile.argv(Builder.DOCKER, JOB) == (
        "docker", "buildx", "build", "--platform", "linux/arm64", "--network", "none",
        "--attest", "type=sbom", "--provenance=false",
        "--build-arg", "A=b c", "--label", "l={}",
        "--output", "type=oci,dest=/out.tar,name=docker.io/org/x:1-arm64",
        "--file", "/src/Dockerfile", "/src",
    )  # fmt: skip


def test_switches():
    job = Job(
        Path("/s"), "D", Platform("amd64"), "n:1", Path("/o"), network=True, cached=False,
        pull=True, storage=Path("/st"), epoch_s=7,
    )  # fmt: skip
    buildah = " ".join(dockerfile.buildah_argv(job))
    assert buildah.startswith(
        "buildah --root /st/root --runroot /st/run --storage-driver vfs build --format oci"
    )
    assert "--network host --no-cache --pull-always --timestamp 7 --tag" in buildah
    docker = " ".join(dockerfile.docker_argv(job))
    assert "--network default --no-cache --pull --attest" in docker
    assert "--build-arg SOURCE_DATE_EPOCH=7" in docker


def test_the_builder_that_is_there(monkeypatch):
    there = {"buildah", "docker"}
    status = 0

    def run(argv, *, check):
        return proc.Completed(tuple(argv), status, b"", b"")

    monkeypatch.setattr(proc, "has_tool", there.__contains__)
    monkeypatch.setattr(proc, "run", run)
    assert dockerfile.choose_builder() is Builder.BUILDAH
    there.remove("buildah")
    assert dockerfile.choose_builder() is Builder.DOCKER
    status = 1
    with pytest.raises(ToolMissingError, match="needs buildah, or docker"):
        dockerfile.choose_builder()


def test_context(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "f").write_text("x")
    with dockerfile.context(folder, ()) as same:
        assert same == folder
    sources = (ExtraSource("../extra", "a/b"), ExtraSource("../extra/f", "g"))
    with dockerfile.context(folder, sources) as copy:
        assert (copy / "Dockerfile").exists()
        assert (copy / "a/b/f").read_text() == "x"
        assert (copy / "g").read_text() == "x"
    assert not copy.exists()
    with pytest.raises(SampanError, match="no such file; extra-sources"):
        with dockerfile.context(folder, (ExtraSource("../none", "n"),)):
            pass

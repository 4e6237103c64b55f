import pytest

from sampan.errors import DocumentError, UsageError
from sampan.package import document
from sampan.package.recipe import Addition, Debian, Recipe, Restricted
from sampan.spec.model import ContainerDefaults
from sampan.spec.source import Source
from sampan.spec.text import Mode

WHOLE = """\
image: nginx
org: sampan
arches: [amd64, arm64]
extra-sources: ["../agent:agent"]
network: true
disable-cache: true
buildArgs: [A=b]
gitrepo: "https://example.test/x"
depends:
  docker-images: {target-dir: images, list: [a@sha256:x]}
config:
  capabilities: [CAP_CHOWN]
  binds: ["/etc/resolv.conf:/etc/resolv.conf"]
debian:
  suite: sid
  packages: [nginx-light, "syslinux [amd64]"]
  depends: false
  merged-usr: false
  files:
    - {path: /etc/x, contents: "y", mode: "0600", uid: 1}
  links: {/bin/sh: busybox}
  users: [{name: www, uid: 33}]
"""


def parse(text):
    return document.parse(Source.text(text, "build.yml"))


def test_a_whole_document():
    recipe = parse(WHOLE)
    assert (recipe.image, recipe.org, recipe.arches) == ("nginx", "sampan", ("amd64", "arm64"))
    assert isinstance(recipe.config, ContainerDefaults)
    assert recipe.config.capabilities == ("CAP_CHOWN",)
    debian = recipe.debian
    assert isinstance(debian, Debian)
    assert debian.packages[1] == Restricted("syslinux", ("amd64",))
    assert isinstance(debian.files[0], Addition)
    assert debian.files[0].mode == Mode(0o600, "0600")
    assert debian.links == (("/bin/sh", "busybox"),)
    assert recipe.depends.docker_images.target_dir == "images"


def test_only_the_name_is_needed():
    assert parse("image: x\n") == Recipe(image="x")


def test_all_faults_are_told_with_their_place():
    with pytest.raises(DocumentError) as caught:
        parse("image: x\ndebian:\n  packagez: [a]\n  users: [{name: A, uid: -1}]\n")
    assert [problem.message for problem in caught.value.problems] == [
        "unknown key 'packagez'",
        "'A' cannot name a user or a group",
        "'-1' is out of range, 0 to 4294967294",
    ]
    assert str(caught.value).startswith("build.yml:3:3: debian: unknown key 'packagez'")
    assert "did you mean 'packages'" in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "org: x\n", "[]"])
def test_a_document_without_a_name_is_refused(text):
    with pytest.raises(DocumentError):
        parse(text)


def test_a_folder_that_is_no_package(tmp_path, package):
    with pytest.raises(UsageError, match=r"is not a package: it has no build\.yml"):
        document.load(tmp_path / "none")
    folder = package("image: x\n")
    assert document.load(folder).image == "x"
    (folder / "other.yml").write_text("image: y\n")
    assert document.load(folder, name="other.yml").image == "y"

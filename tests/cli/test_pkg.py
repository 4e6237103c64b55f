import json

import pytest

RECIPE = """\
image: hello
org: me
debian:
  packages: [hello]
"""


@pytest.fixture
def hello(tmp_path):
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "build.yml").write_text(RECIPE)
    return folder


def test_show_tag(sampan, hello):
    said = sampan("pkg", "show-tag", hello)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("me/hello:")
    assert sampan("pkg", "show-tag", "-canonical", hello).out == f"docker.io/{said.out}"
    assert json.loads(sampan("pkg", "show-tag", "--json", hello).out) == {"name": said.out.strip()}


def test_the_tag_follows_the_sources(sampan, hello):
    before = sampan("pkg", "show-tag", hello).out
    (hello / "file").write_text("new")
    assert sampan("pkg", "show-tag", hello).out != before


def test_naming_flags(sampan, hello, monkeypatch):
    assert sampan("pkg", "show-tag", "-hash", "1", "-org", "you", hello).out == "you/hello:1\n"
    monkeypatch.setenv("LINUXKIT_PKG_ORG", "they")
    assert sampan("pkg", "show-tag", "-hash", "1", hello).out == "they/hello:1\n"
    (hello / "other.yml").write_text(RECIPE.replace("hello", "other"))
    said = sampan("pkg", "show-tag", "-build-yml", "other.yml", "-hash", "1", hello)
    assert said.out == "they/other:1\n"


@pytest.mark.parametrize("verb", ["show-tag", "build", "push", "manifest"])
def test_a_folder_that_is_no_package(sampan, verb):
    said = sampan("pkg", verb, "nowhere")
    assert said.status in (1, 2)
    assert "nowhere" in said.err


def test_faults_of_a_recipe(sampan, hello):
    (hello / "build.yml").write_text("image: hello\nimag: x\n")
    said = sampan("pkg", "build", hello)
    assert said.status == 2
    assert "build.yml:2:1" in said.err


def test_platform_the_package_is_not_for(sampan, hello):
    (hello / "build.yml").write_text(RECIPE + "arches: [amd64]\n")
    said = sampan("pkg", "build", "-platforms", "linux/arm64", hello)
    assert said.status == 2
    assert "linux/arm64" in said.err


def test_manifest_of_what_was_not_built(sampan, hello):
    said = sampan("pkg", "manifest", hello)
    assert said.status == 1
    assert "is in the cache" in said.err

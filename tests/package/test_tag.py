import hashlib
import re

import pytest

from sampan.base import proc
from sampan.package import tag
from sampan.package.recipe import ExtraSource, Recipe
from sampan.package.tag import TagError

RECIPE = Recipe(image="x")
EXTRA = Recipe(image="x", extra_sources=(ExtraSource("../extra", "extra"),))
WHO = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": "/dev/null"}  # fmt: skip


def git(folder, *argv):
    return proc.run(["git", "-C", folder, *argv], env=WHO).stdout.decode().strip()


@pytest.fixture
def repository(tmp_path):
    top = tmp_path / "top"
    (top / "p").mkdir(parents=True)
    (top / "extra").mkdir()
    (top / "p" / "build.yml").write_text("image: x\n")
    (top / "extra" / "f").write_text("f")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "one")
    return top


@pytest.mark.parametrize("template", ["{{.Hash}}", "{{ .Hash }}"])
def test_template(template):
    assert tag.fill_template(f"v1-{template}", "abc") == "v1-abc"


def test_a_template_with_another_field_is_refused():
    with pytest.raises(TagError, match="not known"):
        tag.fill_template("{{.Version}}", "abc")


def test_the_content_hash_tells_what_matters(tmp_path):
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "f"
    file.write_text("a")
    seen = {tag.content_hash([tmp_path])}
    file.chmod(0o755)
    seen.add(tag.content_hash([tmp_path]))
    file.write_text("b")
    seen.add(tag.content_hash([tmp_path]))
    (tmp_path / "l").symlink_to("sub")
    seen.add(tag.content_hash([tmp_path]))
    file.rename(tmp_path / "sub" / "g")
    last = tag.content_hash([tmp_path])
    assert len(seen | {last}) == 5
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("litter")
    assert tag.content_hash([tmp_path]) == last
    assert re.fullmatch(r"[0-9a-f]{40}", last)


def test_a_missing_extra_source(tmp_path):
    with pytest.raises(TagError, match="no such file"):
        tag.content_hash([tmp_path / "none"])


def test_without_git(package):
    folder = package("image: x\ntag: 'v-{{.Hash}}'\n")
    assert tag.package_tag(folder) == "v-" + tag.content_hash([folder])
    assert tag.package_tag(folder, hash_override="abc") == "v-abc"


def test_a_clean_package_has_the_hash_of_its_tree(repository):
    found = tag.sources(repository / "p", RECIPE)
    assert found.hash == git(repository, "rev-parse", "HEAD:p")
    assert found.revision == git(repository, "rev-parse", "HEAD")
    assert not found.dirty
    assert tag.sources(repository, RECIPE).hash == git(repository, "rev-parse", "HEAD^{tree}")


def test_extra_sources_are_hashed_with_it(repository):
    trees = git(repository, "rev-parse", "HEAD:p"), git(repository, "rev-parse", "HEAD:extra")
    found = tag.sources(repository / "p", EXTRA)
    assert found.hash == hashlib.sha1("".join(trees).encode()).hexdigest()


def test_changes_make_it_dirty(repository):
    clean = tag.sources(repository / "p", RECIPE).hash
    (repository / "extra" / "f").write_text("changed")
    assert not tag.sources(repository / "p", RECIPE).dirty
    assert tag.sources(repository / "p", EXTRA).dirty
    (repository / "p" / "new").write_text("N")
    found = tag.sources(repository / "p", RECIPE)
    expected = hashlib.sha256(b"image: x\nN").hexdigest()[:7]
    assert found == tag.Sources(f"{clean}-dirty-{expected}", dirty=True)
    assert tag.sources(repository / "p", RECIPE, commit="HEAD~0").hash == clean


def test_a_package_that_is_not_committed_yet(repository):
    (repository / "q").mkdir()
    (repository / "q" / "build.yml").write_text("image: q\n")
    assert tag.sources(repository / "q", RECIPE).dirty


def test_sources_outside_of_the_work_tree(repository):
    recipe = Recipe(image="x", extra_sources=(ExtraSource("../..", "x"),))
    with pytest.raises(TagError, match="outside of the git work tree"):
        tag.sources(repository / "p", recipe)

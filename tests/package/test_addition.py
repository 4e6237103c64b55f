import pytest

from sampan.package.addition import AdditionError, Folder, addition_entries
from sampan.package.recipe import Addition, ExtraSource, Recipe


def entries(folder, **item):
    return [(e.name, e.mode, b"".join(c)) for e, c in addition_entries(Addition(**item), folder)]


@pytest.fixture
def folder(tmp_path):
    files = tmp_path / "p" / "files"
    (files / "sub" / "__pycache__").mkdir(parents=True)
    (files / "sub" / "run").write_text("#!")
    (files / "sub" / "run").chmod(0o755)
    (files / "sub" / "__pycache__" / "x.pyc").write_text("no")
    (files / "a").write_text("A")
    (files / "l").symlink_to("/anywhere")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "main.py").write_text("M")
    recipe = Recipe(image="p", extra_sources=(ExtraSource("../agent", "lib"),))
    return Folder.of(tmp_path / "p", recipe)


def test_text(folder):
    assert entries(folder, path="/etc/motd", contents="hi") == [("etc/motd", 0o644, b"hi")]


def test_a_file_keeps_whether_it_can_be_run(folder):
    assert entries(folder, path="/x", source="files/a") == [("x", 0o644, b"A")]
    assert entries(folder, path="/x", source="files/sub/run") == [("x", 0o755, b"#!")]


def test_a_folder_comes_whole_but_for_litter(folder):
    assert entries(folder, path="/opt/", source="files") == [
        ("opt/a", 0o644, b"A"),
        ("opt/l", 0o777, b""),
        ("opt/sub/run", 0o755, b"#!"),
    ]


@pytest.mark.parametrize("source", ["lib", "../agent", "lib/main.py"])
def test_extra_sources_can_be_added(folder, source):
    assert entries(folder, path="/m", source=source)[0][2] == b"M"


@pytest.mark.parametrize("source", ["/etc/passwd", "../x", "lib/../../x", "files/l"])
def test_nothing_else_of_the_host_can(folder, source):
    with pytest.raises(AdditionError, match="lies outside"):
        entries(folder, path="/m", source=source)


def test_a_missing_file_is_named(folder):
    with pytest.raises(AdditionError, match=r"p/nope: no such file"):
        entries(folder, path="/m", source="nope")

"""Every source module has a test file at the mirrored place: oci/digest.py, oci/test_digest.py."""

import ast

NO_CODE = ("__init__", "__main__")


def _does_something(tree):
    """Whether there is a function in it; a class of error that only has a name needs no test."""
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))


def test_every_module_has_its_tests(root, sources):
    missing = []
    for source in sources:
        if source.path.stem in NO_CODE or not _does_something(source.tree):
            continue
        folder = root / "tests" / source.path.relative_to(root / "src" / "sampan").parent
        if not (folder / f"test_{source.path.stem}.py").is_file():
            missing.append(source.shown)
    assert not missing, "\n".join(missing)


def test_test_packages_have_no_init(root):
    assert list((root / "tests").rglob("__init__.py")) == []

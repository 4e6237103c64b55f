"""What a module offers exists, and says what it is."""

import ast
import importlib
import inspect
from collections.abc import Iterator

BANNED_NAMES = ("util", "utils", "helper", "helpers", "manager", "common", "misc")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _public(body: list[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def test_every_exported_name_exists(sources):
    missing = []
    for source in sources:
        if "__all__" not in source.text:
            continue
        module = importlib.import_module(source.name)
        exported = module.__all__
        missing += [f"{source.name}.{name}" for name in exported if not hasattr(module, name)]
        assert len(set(exported)) == len(exported), source.name
    assert not missing, "\n".join(missing)


def test_every_module_says_what_it_is_for(sources):
    # __init__ of a package without code of its own may be empty
    silent = [
        each.shown for each in sources if each.text.strip() and not ast.get_docstring(each.tree)
    ]
    assert not silent, "\n".join(silent)


def test_public_definitions_are_documented(sources):
    silent = [
        f"{source.shown}:{node.lineno} {node.name}"
        for source in sources
        for node in _public(source.tree.body)
        if not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)


def test_public_methods_are_documented(sources):
    silent = [
        f"{source.shown}:{method.lineno} {owner.name}.{method.name}"
        for source in sources
        for owner in _public(source.tree.body)
        if isinstance(owner, ast.ClassDef)
        for method in _public(owner.body)
        if not isinstance(method, ast.ClassDef) and not _says_what_it_is(source, owner, method)
    ]
    assert not silent, "\n".join(silent)


def _says_what_it_is(source, owner, method):
    """By itself, or because what it overrides does."""
    if ast.get_docstring(method):
        return True
    kind = getattr(importlib.import_module(source.name), owner.name)
    return inspect.getdoc(getattr(kind, method.name)) is not None


def test_modules_have_names_that_say_something(sources):
    assert [each.name for each in sources if each.path.stem in BANNED_NAMES] == []

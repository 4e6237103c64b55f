import pytest

from sampan.package import bytecode
from sampan.package.bytecode import BytecodeError

# plays the dynamic loader: the program it is given is the host's Python in disguise
LOADER = """#!/bin/sh
[ "$1" = --library-path ] || exit 1
shift 2; shift
unset PYTHONHOME
exec python3 "$@"
"""


@pytest.fixture
def tree(stage):
    stage.add_file("usr/bin/python3.13", b"", mode=0o755)
    stage.add_file("lib64/ld-linux-x86-64.so.2", LOADER.encode(), mode=0o755)
    stage.add_file("usr/lib/a.py", b"x = 1\n")
    stage.add_file("usr/lib/bad.py", b"print 'two'\n")
    return stage


def compiled(stage):
    return {n.entry.name: stage.read(n) for n in stage if n.entry.name.endswith(".pyc")}


def test_what_can_be_compiled_is(tree):
    assert bytecode.compile_modules(tree) == 2  # the folder and the file
    [(name, data)] = compiled(tree).items()
    assert name.startswith("usr/lib/__pycache__/a.cpython-3")
    assert data[4:8] == b"\x01\0\0\0"  # by hash, never checked
    assert b"/usr/lib/a.py" in data
    assert str(tree).encode() not in data


def test_it_is_reproducible(tree):
    bytecode.compile_modules(tree)
    first = compiled(tree)
    tree.remove("usr/lib/__pycache__")
    bytecode.compile_modules(tree)
    assert compiled(tree) == first


def test_a_tree_without_python(stage):
    with pytest.raises(BytecodeError, match=r"no Python interpreter"):
        bytecode.compile_modules(stage)
    stage.add_file("usr/bin/python3.13", b"")
    with pytest.raises(BytecodeError, match="no dynamic loader"):
        bytecode.compile_modules(stage)


def test_a_python_that_does_not_run(tree):
    tree.add_file("lib64/ld-linux-x86-64.so.2", b"#!/bin/sh\nexit 3\n", mode=0o755)
    with pytest.raises(BytecodeError, match="does not run here"):
        bytecode.compile_modules(tree)

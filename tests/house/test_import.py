"""Who may import whom: the contracts of pyproject.toml, and the bans on libraries."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

# the modules of the architecture that do no I/O, when they are there
PURE = (
    "sampan.base.agent.wire",
    "sampan.base.agent.session",
    "sampan.net.wire",
    "sampan.net.core",
    "sampan.net.services",
    "sampan.net.link",
    "sampan.ninep.wire",
    "sampan.ninep.session",
    "sampan.spec.model",
    "sampan.image.plan",
    "sampan.machine.model",
    "sampan.machine.drivers.hyperkit_argv",
    "sampan.machine.drivers.qemu_argv",
    "sampan.machine.drivers.vfkit_argv",
    "sampan.vhost.core",
)
# library: who may import it
RESERVED = {
    "click": ("sampan.cli",),
    "rich": ("sampan.cli",),
    # the agent runs inside the guest, where there is no sampan.base
    "subprocess": ("sampan.base.proc", "sampan.guest.agent"),
}
ENVIRONMENT = ("sampan.cli", "sampan.base.proc", "sampan.base.log", "sampan.guest.agent")
# programs that run inside machines: what of ours is shipped with each
SHIPPED = {
    "sampan.guest.agent": ("sampan.guest.agent",),
    "sampan.guest.remote": ("sampan.guest.remote", "sampan.base.agent"),
    "sampan.base.agent": ("sampan.base.agent",),
}


def _is_within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_import_contracts_hold(root):
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_name_every_pure_module(root, sources):
    config = tomllib.loads((root / "pyproject.toml").read_text())
    [contract] = [
        each for each in config["tool"]["importlinter"]["contracts"] if "no I/O" in each["name"]
    ]
    there = {source.name for source in sources}
    assert set(contract["source_modules"]) == there & set(PURE)


def test_reserved_libraries_stay_where_they_belong(sources):
    wrong = [
        f"{source.shown} imports {name}"
        for source in sources
        for name in _imports(source.tree)
        for library, places in RESERVED.items()
        if _is_within(name, (library,)) and not _is_within(source.name, places)
    ]
    assert not wrong, "\n".join(wrong)


def test_environment_is_read_by_the_command_line_only(sources):
    wrong = [
        f"{source.shown}:{node.lineno}"
        for source in sources
        if not _is_within(source.name, ENVIRONMENT)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in ("environ", "getenv", "environb", "putenv")
    ]
    assert not wrong, "\n".join(wrong)


def test_what_runs_inside_the_guest_needs_nothing_of_ours(sources):
    wrong = [
        f"{source.shown} imports {name}"
        for program, shipped in SHIPPED.items()
        for source in sources
        if _is_within(source.name, (program,))
        for name in _imports(source.tree)
        if name.partition(".")[0] not in sys.stdlib_module_names and not _is_within(name, shipped)
    ]
    assert not wrong, "\n".join(wrong)


def test_starting_costs_little():
    """`sampan --help` imports the table of verbs, and none of what the verbs use."""
    heavy = ["msgspec", "yaml", "rich", "urllib3", "isal", "asyncio", "subprocess", "logging",
             "importlib.metadata", "ssl", "socket", "sampan.base", "sampan.oci", "sampan.spec"]  # fmt: skip
    code = (
        "import sys\nfrom sampan.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert done.returncode == 0


def test_starting_a_machine_costs_little():
    """What `sampan run` loads has none of what only other verbs, and other machines, use."""
    heavy = ["yaml", "h11", "importlib.metadata", "urllib3", "sampan.cli.net.serve",
             "sampan.vhost.runtime.vsock_server", "sampan.net.runtime.control.client"]  # fmt: skip
    code = (
        "import sys\nimport sampan.cli.run, sampan.cli.target, sampan.desktop.session\n"
        "import sampan.net.runtime.usernet, sampan.net.runtime.control.assembled\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert done.returncode == 0

r"""Fixtures of pytest for tests that need a virtual machine.

    @pytest.fixture(scope="session")
    def vm_spec():
        return machine.MachineSpec(kernel=Path("web-kernel"), initrd=Path("web-initrd.img"))

    def test_it_says_hello(vm):
        vm.console.send_line("echo hello")
        vm.console.expect("\nhello", timeout_s=10)

The machine boots once for each worker. Then it is saved, and each test with the fixture `vm` finds
it as it was then, however the test before has left it: that is a matter of a fraction of a second.

pytest imports this module at every start, wherever Sampan is installed: it imports nothing but
pytest until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.machine import LaunchOptions, Machine, MachineSpec
    from sampan.machine.driver import Driver
    from sampan.machine.view.readiness import Condition

_CONSOLES = pytest.StashKey[dict[str, Callable[[], str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Part of pytest: say which markers there are."""
    config.addinivalue_line(
        "markers",
        "vm(requires={...}): skip the test unless the driver of machines has these capabilities",
    )


@pytest.fixture(scope="session")
def vm_spec() -> MachineSpec:
    """The machine that is tested; every project has to say its own."""
    raise pytest.UsageError(
        "the fixture vm needs to know which machine: define a fixture vm_spec, with "
        "scope='session', that returns a sampan.machine.MachineSpec"
    )


@pytest.fixture(scope="session")
def vm_options() -> LaunchOptions:
    """How machines are launched; override it for another driver."""
    from sampan.machine import LaunchOptions

    return LaunchOptions()


@pytest.fixture(scope="session")
def vm_ready() -> Condition | None:
    """When the machine has booted (`sampan.machine.view.readiness`); unless overridden, at once."""
    return None


@pytest.fixture(scope="session")
def _vm_booted(
    vm_spec: MachineSpec,
    vm_options: LaunchOptions,
    vm_ready: Condition | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[_Booted]:
    folder = tmp_path_factory.mktemp("vm") / "booted"
    with _Booted(vm_spec, vm_options, vm_ready).saved_in(folder) as booted:
        yield booted


@pytest.fixture(scope="session")
def vm_session(_vm_booted: _Booted) -> Machine:
    """The one machine of all tests, which see what the others have done to it.

    Do not use it together with `vm`, which puts it back.
    """
    return _vm_booted.running()


@pytest.fixture
def vm(_vm_booted: _Booted, vm_options: LaunchOptions, request: pytest.FixtureRequest) -> Machine:
    """The machine as it was when it had booted."""
    _require(request.node, vm_options)
    machine = _vm_booted.fresh()
    _watch(request.node, "vm", machine, machine.console.position)
    return machine


@pytest.fixture
def vm_factory(
    vm_spec: MachineSpec,
    vm_options: LaunchOptions,
    vm_ready: Condition | None,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Machine]]:
    """Boots further machines: `vm_factory(mem_mib=64)` is `vm_spec` with other memory."""
    from msgspec.structs import replace

    from sampan.machine import launch

    _require(request.node, vm_options)
    with ExitStack() as running:

        def start(**changes: object) -> Machine:
            spec = replace(vm_spec, **changes)
            machine = running.enter_context(launch(spec, vm_options))
            _watch(request.node, spec.name, machine, 0)
            if vm_ready is not None:
                machine.wait_ready(vm_ready)
            return machine

        yield start


class _Booted:
    """A machine that has booted, and can be had again as it was then."""

    def __init__(self, spec: MachineSpec, options: LaunchOptions, ready: Condition | None) -> None:
        self._spec = spec
        self._options = options
        self._ready = ready
        self._machine: Machine | None = None
        self._is_fresh = False
        self._is_saved = False

    @contextmanager
    def saved_in(self, folder: Path) -> Iterator[_Booted]:
        """Itself; at the end the machine is ended, and what was saved is removed."""
        from sampan.machine.saving import suspension

        self._folder = folder
        self._living = ExitStack()
        try:
            with self._living:
                yield self
        finally:
            if self._is_saved:
                suspension.remove(folder)

    def running(self) -> Machine:
        """The machine as it is; booted, if it does not run."""
        from sampan.machine import launch
        from sampan.machine.driver import Capability

        if self._is_over():
            self._end()
        if self._machine is None:
            self._machine = self._living.enter_context(launch(self._spec, self._options))
            if self._ready is not None:
                self._machine.wait_ready(self._ready)
            if Capability.SNAPSHOT in _driver(self._options).capabilities:
                self._machine.snapshot(self._folder)
                self._is_saved = True
            self._is_fresh = True
        machine, self._is_fresh = self._machine, False
        return machine

    def fresh(self) -> Machine:
        """The machine as it was when it had booted; whoever gets it may do anything to it."""
        from sampan.machine import resume

        if self._machine is None or self._is_fresh:
            return self.running()
        if not self._is_saved:
            self._end()  # it has to boot again
            return self.running()
        if self._is_over():
            self._end()
            self._machine = self._living.enter_context(resume(self._folder, self._options))
        else:
            self._machine.restore(self._folder)
        return self._machine

    def _is_over(self) -> bool:
        from sampan.machine.view.event import State

        return self._machine is not None and self._machine.state is State.ENDED

    def _end(self) -> None:
        self._living.close()
        self._machine = None


def _driver(options: LaunchOptions) -> Driver:
    from sampan.machine.drivers.qemu import QemuDriver

    return options.driver or QemuDriver()


def _require(item: pytest.Item, options: LaunchOptions) -> None:
    """Skip a test whose marker asks for what the driver cannot do."""
    marker = item.get_closest_marker("vm")
    wanted = set() if marker is None else {str(each) for each in marker.kwargs.get("requires", ())}
    driver = _driver(options)
    if missing := wanted - {each.value for each in driver.capabilities}:
        pytest.skip(f"the driver {driver.name} has not: {', '.join(sorted(missing))}")


def _watch(item: pytest.Item, title: str, machine: Machine, begin: int) -> None:
    """Show what the console said from `begin` on, should the test fail."""
    consoles = item.stash.setdefault(_CONSOLES, {})
    consoles[title] = lambda: machine.console.since(begin)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Part of pytest: attach the consoles of machines to the report of a test that failed."""
    del call
    report = yield
    if report.failed:
        for title, text in item.stash.get(_CONSOLES, {}).items():
            report.sections.append((f"console of {title}", text()))
    return report

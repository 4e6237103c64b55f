"""The fixtures for machines, in sessions of pytest of their own."""

import subprocess
import sys

import pytest

from sampan.base import proc

FAKE = """
    import pytest
    from sampan.machine import LaunchOptions
    from sampan.machine.view.readiness import console
    from sampan.machine.testing import Await, FakeDriver, Say, Script, Finish, spec

    DRIVER = FakeDriver(Script(steps=(Say("booted"), Await("x"), Say("got x"), Finish())))

    @pytest.fixture(scope="session")
    def vm_spec():
        return spec()

    @pytest.fixture(scope="session")
    def vm_options(tmp_path_factory):
        return LaunchOptions(driver=DRIVER)

    @pytest.fixture(scope="session")
    def vm_ready():
        return console("booted", deadline_s=60)
"""


@pytest.fixture
def session(pytester):
    """Runs test functions with a fake machine; `instead` changes the conftest."""

    def run(tests, *words, instead=("", "")):
        pytester.makeconftest(FAKE.replace(*instead))
        pytester.makepyfile(tests)
        # their order counts, whatever else is installed
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly", *words)

    return run


def test_each_test_finds_the_machine_as_it_was(session):
    result = session(
        """
        from conftest import DRIVER

        def test_one(vm):
            vm.console.send("x")
            vm.console.expect("got x", timeout_s=60)
            vm.wait(timeout_s=60)

        def test_two(vm):
            assert DRIVER.machines[-1].done == 1
            vm.console.send("x")
            vm.console.expect("got x", timeout_s=60)

        def test_three(vm):
            vm.pause()

        def test_four(vm):
            assert DRIVER.machines[-1].done == 1
            assert vm.state == "running"
            assert DRIVER.machines[0] is not DRIVER.machines[-1]
        """
    )
    result.assert_outcomes(passed=4)


def test_tests_of_one_machine_see_what_others_did(session):
    result = session(
        """
        from conftest import DRIVER

        def test_one(vm_session):
            vm_session.console.send("x")
            vm_session.console.expect("got x", timeout_s=60)

        def test_two(vm_session):
            assert "got x" in vm_session.console.transcript
            assert len(DRIVER.machines) == 1

        def test_three(vm):
            assert DRIVER.machines[-1].done == 1
        """
    )
    result.assert_outcomes(passed=3)


def test_a_driver_without_snapshots_boots_again(session):
    result = session(
        """
        from conftest import DRIVER

        def test_one(vm):
            assert len(DRIVER.machines) == 1

        def test_two(vm):
            assert len(DRIVER.machines) == 2
        """,
        instead=("Script(steps", "capabilities=frozenset(), script=Script(steps"),
    )
    result.assert_outcomes(passed=2)


def test_further_machines(session):
    result = session(
        """
        def test_it(vm_factory):
            one, two = vm_factory(name="one"), vm_factory(name="two")
            assert (one.spec.name, two.spec.name) == ("one", "two")
            assert "booted" in two.console.transcript
        """
    )
    result.assert_outcomes(passed=1)


def test_the_console_is_in_the_report_of_a_failure(session):
    result = session(
        """
        def test_it(vm, vm_factory):
            vm.console.send("x")
            vm.console.expect("got x", timeout_s=60)
            vm_factory(name="other")
            assert False
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*console of vm*", "got x", "*console of other*", "booted"])


def test_what_a_driver_cannot_do_is_skipped(session):
    result = session(
        """
        import pytest

        @pytest.mark.vm(requires={"snapshot", "time-travel"})
        def test_it(vm):
            pass

        @pytest.mark.vm(requires={"snapshot"})
        def test_that(vm):
            pass
        """,
        "-rs",
        "--strict-markers",
    )
    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines(["*the driver fake has not: time-travel*"])


def test_workers_have_machines_of_their_own(session):
    result = session(
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(vm, number):
            vm.console.send("x")
            vm.console.expect("got x", timeout_s=60)
        """,
        "-n2",
    )
    result.assert_outcomes(passed=6)


def test_without_a_spec_it_says_what_to_do(pytester):
    pytester.makepyfile("def test_it(vm): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*define a fixture vm_spec*"])


def test_who_does_not_use_it_pays_nothing():
    program = (
        "import sys, pytest; before = set(sys.modules); import sampan.machine.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (
        done.stdout.decode().strip()
        == "['sampan', 'sampan.machine', 'sampan.machine.pytest_plugin']"
    )


@pytest.mark.guest
@pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU")
def test_a_real_machine(pytester, counting_kernel):
    pytester.makeconftest(
        f"""
        from pathlib import Path
        import pytest
        from sampan import machine
        from sampan.machine.view.readiness import console

        @pytest.fixture(scope="session")
        def vm_spec():
            return machine.MachineSpec(kernel=Path({str(counting_kernel)!r}), mem_mib=32)

        @pytest.fixture(scope="session")
        def vm_ready():
            return console("R\\n", deadline_s=60)
        """
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("character", "abc")
        def test_it(vm, character):
            vm.console.send(character)
            vm.console.expect(f"{character}1\\n", timeout_s=60)
            if character == "b":
                vm.kill()
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)

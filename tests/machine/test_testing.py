import ast
import inspect

from sampan import machine
from sampan.machine import testing


def test_a_spec_is_enough_to_launch(runtime_root):
    driver = testing.FakeDriver(testing.Script(steps=(testing.Say("hello"), testing.Finish())))
    options = machine.LaunchOptions(driver=driver, runtime_root=runtime_root)
    with machine.launch(testing.spec(cpus=2), options) as vm:
        vm.console.expect("hello", timeout_s=60)
        assert vm.wait(timeout_s=60).clean
        assert vm.spec.cpus == 2


def test_the_example_works(runtime_root, monkeypatch):
    """The one of the module's docstring, with a user's code."""
    text = inspect.cleandoc(testing.__doc__ or "").partition("::\n\n")[2].partition("\nEvery")[0]
    names: dict[str, object] = {}
    code = compile(ast.parse(inspect.cleandoc("\n" + text)), "example", "exec")
    exec(code, names)
    names["my_code_that_logs_in"] = _log_in
    names["test_logs_in_and_waits_for_the_end"]()


def _log_in(vm):
    vm.console.expect("login:", timeout_s=60)
    vm.console.send_line("root")

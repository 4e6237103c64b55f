from sampan.errors import ExitCode, SampanError
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError


def test_all_are_failures_of_one_family():
    for kind in (MachineError, MachineEndedError, MachineTimeoutError):
        error = kind("no", hint="do")
        assert isinstance(error, SampanError)
        assert (error.exit_code, error.hint) == (ExitCode.FAILED, "do")

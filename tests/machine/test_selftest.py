import struct

import pytest

from sampan.errors import ToolMissingError
from sampan.machine import Arch, Ending, selftest
from sampan.machine.testing import FakeDriver, Finish, Say, Script


def run(root, *steps, arch=Arch.AMD64, deadline_s=60):
    driver = FakeDriver(Script(steps=steps))
    return selftest.run(driver, arch, runtime_root=root, deadline_s=deadline_s)


def test_a_driver_that_works(runtime_root):
    result = run(runtime_root, Say(selftest.SAYS), Finish())
    assert (result.works, result.driver, result.end) == (True, "fake", "powered-off")
    assert run(runtime_root, Finish(), arch=Arch.ARM64).works


@pytest.mark.parametrize(
    ("steps", "detail"),
    [
        ((Say("hello"), Finish()), "the console said 'hello\\n', not 'sampan selftest'"),
        ((Finish(Ending.DIED, "oops"),), "the machine died: oops"),
    ],
)
def test_a_driver_that_does_not(runtime_root, steps, detail):
    result = run(runtime_root, *steps)
    assert not result.works
    assert detail in result.detail


def test_a_machine_that_does_not_end(runtime_root):
    result = run(runtime_root, Say(selftest.SAYS), deadline_s=0.2)
    assert (result.works, "still runs after 0.2 s" in result.detail) == (False, True)


def test_a_driver_whose_program_is_missing(runtime_root):
    class Missing(FakeDriver):
        def verdict(self, spec, root):
            raise ToolMissingError("bochs is not installed")

    with pytest.raises(ToolMissingError):
        selftest.run(Missing(), Arch.AMD64, runtime_root=runtime_root)


def test_the_x86_kernel_has_a_header_of_linux():
    kernel = selftest.kernel(Arch.AMD64)
    assert struct.unpack_from("<H", kernel, 0x1FE) == (0xAA55,)
    assert kernel[0x202:0x206] == b"HdrS"
    assert kernel[0x200] == 0xEB  # a jump over the header
    entry = 0x202 + kernel[0x201]
    assert kernel[entry : entry + 3] == b"\xba\xfd\x03"
    setup = (kernel[0x1F1] + 1) * 512
    assert kernel[setup : setup + 5] == kernel[setup + 0x200 : setup + 0x205] == b"\xba\xfd\x03\0\0"


def test_the_arm_kernel_has_a_header_of_linux():
    kernel = selftest.kernel(Arch.ARM64)
    assert kernel[56:60] == b"ARM\x64"
    assert struct.unpack_from("<Q", kernel, 16) == (len(kernel),)
    [branch] = struct.unpack_from("<I", kernel)
    assert branch >> 26 == 0b000101
    assert (branch & 0x3FFFFFF) * 4 == 64

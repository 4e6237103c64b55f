from sampan.spec.resource import BlockIO, Memory, Resources, ThrottleDevice
from sampan.spec.shape import Record

LIMITS = """
services:
  - name: a
    image: b
    resources:
      memory: {limit: 100, kernelTCP: 5, disableOOMKiller: true}
      blockio: {throttleReadIOPSDevice: [{major: 8, minor: 0, rate: 600}]}
"""


def test_limits_are_read(read):
    assert read(LIMITS).services[0].resources == Resources(
        memory=Memory(limit=100, kernel_tcp=5, disable_oom_killer=True),
        blockio=BlockIO(throttle_read_iops_device=(ThrottleDevice(8, 0, 600),)),
    )


def test_keys_are_those_of_the_runtime_specification():
    assert list(Record(Resources).fields) == [
        "devices", "memory", "cpu", "pids", "blockio", "hugepageLimits", "network",
    ]  # fmt: skip
    assert list(Record(BlockIO).fields) == [
        "weight", "leafWeight", "weightDevice", "throttleReadBpsDevice",
        "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice",
    ]  # fmt: skip


def test_numbers_have_the_size_the_kernel_gives_them(faults):
    text = LIMITS.replace("limit: 100", "limit: 9223372036854775808").replace("600", "-1")
    limit, rate = faults(text)
    assert limit == (
        "services[0].resources.memory.limit: '9223372036854775808' is out of range,"
        " -9223372036854775808 to 9223372036854775807"
    )
    assert rate.endswith("Device[0].rate: '-1' is out of range, 0 to 18446744073709551615")

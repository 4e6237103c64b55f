import asyncio

from sampan.machine import qmp
from sampan.machine.panic import PanicWatch

PANIC = b"[    1.7] Kernel panic - not syncing: No working init found.\r\n"
SPINNING = b"[    1.8] ---[ end Kernel panic - not syncing: No working init found. ]---\r\n"
RESET = qmp.Notice("RESET", {"reason": "guest-reset"}, 0.0)


def watched(play, *, silence_s=0.0):
    """What the watch told after `play(watch)`."""

    async def run():
        told: list[str] = []
        watch = PanicWatch(told.append, silence_s=silence_s)
        await play(watch)
        await asyncio.sleep(0)  # lets a timer of 0 s run
        await asyncio.sleep(0)
        watch.close()
        return told

    return asyncio.run(run())


def test_panic_and_reset():
    async def play(watch):
        for byte in PANIC:
            watch.console_said(bytes([byte]))
        watch.noticed(RESET)
        watch.noticed(RESET)

    assert watched(play) == ["the guest's kernel panicked: No working init found."]


def test_reset_alone_is_a_reboot():
    async def play(watch):
        watch.console_said(b"rebooting\n")
        watch.noticed(RESET)
        watch.noticed(qmp.Notice("STOP", {}, 0.0))

    assert watched(play) == []


def test_panic_of_an_earlier_boot_is_forgotten():
    async def play(watch):
        watch.noticed(RESET)
        watch.console_said(b"x" * 10_000)
        watch.noticed(RESET)

    assert watched(play) == []


def test_a_kernel_that_spins():
    async def play(watch):
        watch.console_said(PANIC + b"[    1.8] Call Trace:\r\n" + SPINNING)

    assert watched(play) == ["the guest's kernel panicked: No working init found."]


def test_an_old_log_on_the_screen_is_no_panic():
    async def play(watch):
        watch.console_said(PANIC + SPINNING)
        watch.console_said(b"# ")

    assert watched(play) == []


def test_nothing_is_told_after_close():
    async def play(watch):
        watch.console_said(PANIC + SPINNING)
        watch.close()

    assert watched(play) == []

"""Short boots: a stopped one, and the examples."""

import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sampan.machine import Ending, Forward

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
EXAMPLES = Path(__file__).parents[2] / "examples" / "systems"


def test_a_failure_can_stop_the_boot(boot):
    with boot("stop", mem_mib=160) as system:
        assert system.machine.wait(timeout_s=300).ending is Ending.POWERED_OFF
        shown = system.shown
    assert "NO KEY FOUND" in shown
    assert "onboot 000-vital FAILED: ended with status 4" in shown
    assert "BOOT STOPPED" in shown
    assert "NOT REACHED" not in shown
    assert "services running" not in shown


def test_hello(boot):
    with boot(EXAMPLES / "hello.yml", mem_mib=128) as system:
        assert system.machine.wait(timeout_s=300).ending is Ending.POWERED_OFF
        assert "Hello from a container" in system.shown


@pytest.mark.parametrize(
    ("example", "mem_mib", "page"),
    [
        ("minimal.yml", 160, "Hello from a small system"),
        ("web.yml", 512, "Hello from Sampan"),
    ],
)
def test_pages(boot, example, mem_mib, page):
    forward = Forward(host_port=0, guest_port=80)
    with boot(EXAMPLES / example, mem_mib=mem_mib, publish=(forward,)) as system:
        system.wait_for("running, .* after boot")
        [published] = system.machine.forwards
        assert page in fetch(f"http://127.0.0.1:{published.host_port}/", system.machine)
        added = system.machine.expose(forward)
        system.machine.unexpose(published)
        assert page in fetch(f"http://127.0.0.1:{added.host_port}/", system.machine)
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{published.host_port}/", timeout=300)
        assert system.machine.power_off(deadline_s=300).ending is Ending.POWERED_OFF


def fetch(url, machine):
    """The page, as soon as its server answers; the machine's end would be the end of waiting."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(url, timeout=300) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, machine.console.transcript

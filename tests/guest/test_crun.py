"""A system without containerd: one boot, everything it does seen on its console."""

import re

import pytest

from sampan.machine import Ending

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def system(boot):
    """The booted system, all services of which have started."""
    with boot("crun", mem_mib=160) as running:
        running.wait_for("running, .* after boot")
        yield running


@pytest.fixture(scope="module")
def log(system):
    """What the console showed while the system came up."""
    return system.shown


def test_onboot_containers_run_in_order(log):
    assert log.index("ORDER 1") < log.index("ORDER 2") < log.index("ROOT-RO")


def test_a_failed_onboot_is_visible_and_the_boot_goes_on(log):
    assert log.index("THE REASON") < log.index("onboot 002-fails FAILED: ended with status 3")
    assert log.count("FAILED") == 1


def test_roots(log):
    assert "ROOT-RO KEPT" in log
    assert "ROOT-RW WRITTEN" in log
    assert "ROOT-RW OWN" in log


def test_volumes(log):
    assert "VOLUME-RO KEPT" in log
    assert "VOLUME-RO FILLED" in log
    assert "VOLUME-RW kept" in log


def test_interfaces_are_given(log):
    assert "INTERFACES dummy7 dummy8 lo veth7" in log
    assert "PEER STAYED" in log


def test_runtime_json_prepares_the_root(log):
    for path in ("/var/lib/made-by-test", "/cgroup/made-by-test", "/run/mounted-by-test"):
        assert f"\n{path}\n" in log
    after = log.partition("\n/run/mounted-by-test\n")[2].splitlines()
    assert after[0] == "1"  # the namespace's name, bound once


def test_services_answer(system):
    assert "root:x:0:0" in system.run(
        "until wget -q -O - http://127.0.0.1/passwd; do sleep 1; done"
    )


def test_restart_policy(system):
    system.run("until service list | grep -q 'flaky .*running.* 2 '; do sleep 0.2; done")
    system.run("until service list | grep -q '^once  *down'; do sleep 0.2; done")
    table = system.run("service list")
    assert "ended with status 6" in table


def test_stop_then_start(system):
    assert "down" in system.run("service stop web")
    assert "running" in system.run("service start web")
    assert "is running" in system.run("service start web")


def test_a_killed_supervisor_finds_its_services_again(system):
    before = process_of(system, "web")
    system.run("kill -9 $(pidof service)")
    system.wait_for("running, .* after boot")
    assert process_of(system, "web") == before


def process_of(system, name):
    """The process id of a service that runs."""
    [pid] = re.findall(rf"^{name} +running +(\d+)", system.run("service list"), re.MULTILINE)
    return pid


def test_logs(system):
    assert "THE REASON" in system.run("cat /var/log/onboot/002-fails.log")
    assert system.run("ls /var/log/web.log").strip() == "/var/log/web.log"


def test_power_button(system):
    system.machine.press_power_button()
    system.wait_for("GOODBYE")
    assert system.machine.wait(timeout_s=300).ending is Ending.POWERED_OFF

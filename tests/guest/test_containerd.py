"""A system with containerd: one boot."""

import pytest

from sampan.machine import Ending

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def system(boot):
    with boot("containerd", mem_mib=512) as running:
        running.wait_for("running, .* after boot")
        yield running


def test_onboot_through_runc(system):
    assert "THROUGH RUNC" in system.shown
    assert "FAILED" not in system.shown


def test_ctr_lists_the_services(system):
    system.run("until service list | grep -q 'flaky .*running.* 1 '; do sleep 0.5; done")
    listed = system.run("ctr -n services.linuxkit tasks ls")
    for name in ("getty", "nginx", "flaky", "ns"):
        [line] = [line for line in listed.splitlines() if line.startswith(f"{name} ")]
        assert line.endswith("RUNNING"), line


def test_the_restart_was_told(system):
    assert "service flaky ended with status 5; starting again" in system.machine.console.transcript


def test_the_service_answers(system):
    assert "Hello from Sampan" in system.run(
        "until wget -q -O - http://127.0.0.1/; do sleep 1; done"
    )


def test_its_log(system):
    system.run("""until grep -q '"GET / HTTP/1.1" 200' /var/log/nginx.log; do sleep 0.5; done""")


def test_stop_then_start(system):
    assert "down" in system.run("service stop nginx")
    assert "nginx" not in system.run("ctr -n services.linuxkit tasks ls")
    assert "running" in system.run("service start nginx")


def test_runtime_json_of_a_service(system):
    assert "nsfs" in system.run("grep ' /run/netns/ns ' /proc/mounts")
    links = system.run("nsenter --net=/run/netns/ns ip link")
    assert "dummy7" in links


def test_settings_were_applied(system):
    assert system.run("cat /proc/sys/kernel/kptr_restrict").strip() == "2"


def test_poweroff_from_the_shell(system):
    system.machine.console.send_line("poweroff")
    system.wait_for("GOODBYE")
    assert system.machine.wait(timeout_s=300).ending is Ending.POWERED_OFF

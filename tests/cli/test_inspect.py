import json


def test_all_that_is_known(machines, sampan, tmp_path):
    machines.start("web", "hang", flags=("-publish", "0:80"))
    said = json.loads(sampan("inspect", "we").out)
    assert (said["name"], said["status"]) == ("web", "running")
    assert said["made"]["spec"]["kernel"] == str(tmp_path / "web-kernel")
    assert said["made"]["words"][:2] == ["run", "-d"]
    assert said["run"]["argv"][0].startswith("qemu-system-")
    assert said["run"]["ports"][0]["host_port"] == 40080
    assert sampan("inspect", "nope").status == 1


def test_what_can_be_run_again(machines, sampan, tmp_path):
    record = machines.start("web", "button", "poweroff", flags=("-publish", "0:80"))
    said = json.loads(sampan("inspect", "--spec", "web").out)
    assert said["kernel"] == str(tmp_path / "web-kernel")
    assert (said["network"], said["publish"][0]["guest_port"]) == ("user", 80)
    sampan("stop", "web")
    (record.folder / "machine.json").write_text("{")
    said = sampan("inspect", "--spec", "web")
    assert (said.status, said.err.splitlines()[1]) == (1, "  hint: forget it: sampan rm web")

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

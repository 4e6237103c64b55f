def test_machines_that_do_not_run(machines, sampan):
    record = machines.start("web", "button", "poweroff")
    said = sampan("rm", "web")
    assert said.status == 1
    assert said.err == "sampan: web runs\n  hint: sampan stop web first; or sampan rm -f web\n"
    sampan("stop", "web")
    assert sampan("rm", "web").out == "web\n"
    assert not record.folder.exists()
    assert sampan("rm", "web").status == 1


def test_by_force(machines, sampan):
    record = machines.start("web", "hang")
    said = sampan("rm", "-f", "web", "nope")
    assert (said.status, said.out, said.err) == (0, "web\n", "")
    assert not record.folder.exists()
    assert record.run.supervisor.wait(20)


def test_disks_that_were_made_for_it_go_and_others_stay(machines, sampan, tmp_path):
    flags = ("-disk", "size=1M,format=raw", "-disk", "mine.img,size=1M,format=raw")
    record = machines.start("web", "button", "poweroff", flags=flags)
    assert record.folder == tmp_path / "web-state"
    assert (record.folder / "disk0.img").exists()
    (record.folder / "precious").touch()
    sampan("stop", "web")
    assert sampan("rm", "web").status == 0
    assert [each.name for each in record.folder.iterdir()] == ["precious"]
    assert (tmp_path / "mine.img").exists()

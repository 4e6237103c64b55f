import pytest

RUN = ("run", "--accel", "tcg", "--arch", "amd64", "--networking", "none")


def test_a_machine_without_a_name_is_forgotten_when_it_has_ended(machines):
    name = machines.system("web", "poweroff")
    assert machines.run(*RUN, name).returncode == 0
    assert machines.store.names() == ()
    assert machines.run(*RUN, "--name", "lab", name).returncode == 0
    assert machines.store.names() == ("lab",)


def test_one_that_crashed_is_remembered(machines):
    name = machines.system("web", "say help", "exit 3")
    assert machines.run(*RUN, name).returncode == 1
    [record] = machines.store.records()
    assert (record.status, record.detail) == ("crashed", "QEMU ended with status 3")
    assert machines.run("logs", "web").stdout == "help\n"


def test_another_folder(machines, tmp_path):
    name = machines.system("web", "poweroff")
    assert machines.run(*RUN, "-state", "kept/here", "-data", "x", name).returncode == 0
    [record] = machines.store.records()
    assert record.folder == tmp_path / "kept" / "here"
    assert (record.folder / "data.iso").exists()
    assert not (tmp_path / "web-state").exists()


def test_a_place_that_cannot_be_written(machines, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAMPAN_STATE_DIR", str(tmp_path / "file"))
    name = machines.system("web", "say hi", "poweroff")
    done = machines.run(*RUN, name)
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    done = machines.run(*RUN, "--name", "lab", name)
    assert done.returncode == 1
    assert "the machine cannot be kept in" in done.stderr
    assert "SAMPAN_STATE_DIR" in done.stderr


def test_a_name_that_is_none(machines):
    done = machines.run(*RUN, "--name", "a/b", machines.system("web", "poweroff"))
    assert done.returncode == 2
    assert "'a/b' is no name for a machine" in done.stderr


def test_a_home_of_200_characters(machines, tmp_path, monkeypatch):
    home = tmp_path / ("h" * 200)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for variable in ("SAMPAN_STATE_DIR", "XDG_DATA_HOME", "SAMPAN_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    name = machines.system("web", "say hi", "button", "poweroff")
    assert machines.run("run", "-d", *RUN[1:], name).returncode == 0
    assert machines.run("ps", "-q").stdout == "web\n"
    assert machines.run("stop", "web").returncode == 0
    assert machines.run("logs", "web").stdout == "hi\n"
    assert machines.run("rm", "web").returncode == 0


@pytest.mark.parametrize("words", [("--state", "web-kernel")])
def test_a_folder_that_is_none(machines, words):
    done = machines.run(*RUN, *words, machines.system("web", "poweroff"))
    assert done.returncode == 2

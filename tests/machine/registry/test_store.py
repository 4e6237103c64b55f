import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from sampan.errors import UsageError
from sampan.machine import End, Ending, MachineSpec, state
from sampan.machine.error import MachineError
from sampan.machine.registry import place
from sampan.machine.registry.record import Status
from sampan.machine.registry.store import NoSuchMachineError, Store, Wish

SPEC = MachineSpec(kernel=Path("/k"))
OFF = End(ending=Ending.POWERED_OFF)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "machines", version="1.0")


@pytest.fixture
def wish(runtime_root):
    def made(name, **fields):
        return Wish(name=name, runtime_root=runtime_root, **fields)

    return made


@pytest.fixture
def ran(store, wish):
    """Makes a machine that has run."""

    def run(name, end=OFF, **fields):
        with store.claim(SPEC, wish(name, **fields)) as claim:
            claim.ended(end)
        return claim

    return run


@pytest.fixture
def gone():
    """The identity of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = state.Identity.of(child.pid)
        child.kill()
    assert identity is not None
    return identity


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def test_a_store_that_is_not_there_is_empty(store):
    assert store.names() == ()
    assert store.records() == ()
    with pytest.raises(NoSuchMachineError, match="no machine called 'web'") as caught:
        store.find("web")
    assert caught.value.hint == "start one: sampan run PATH"


def test_the_life_of_a_machine(store, wish):
    with store.claim(SPEC, wish("web", words=("run", "web"), cwd=Path("/home"))) as claim:
        assert claim.spec.name == "web"
        assert store.record("web").status is Status.STARTING
        claim.update(replace(claim.run, phase=Status.RUNNING))
        found = store.record("web")
        assert (found.status, found.status.live) == (Status.RUNNING, True)
        assert (found.made.by, found.made.words, found.made.cwd) == (
            "1.0", ("run", "web"), Path("/home"),
        )  # fmt: skip
        with pytest.raises(MachineError, match="web runs"):
            store.remove("web")
        claim.ended(OFF)
    found = store.record("web")
    assert (found.status, found.run.ended, found.status.live) == (Status.STOPPED, OFF, False)
    store.remove("web")
    assert store.names() == ()
    assert not found.folder.exists()


@pytest.mark.parametrize("ending", [Ending.DIED, Ending.PANICKED])
def test_a_bad_end_is_a_crash(store, ran, ending):
    ran("web", End(ending=ending, detail="because"), keep=False)
    found = store.record("web")
    assert (found.status, found.detail) == (Status.CRASHED, "because")
    assert store.heal("web") == found


def test_a_machine_that_is_not_to_be_kept_goes_with_its_run(store, ran):
    assert not ran("web", keep=False).folder.exists()
    assert store.names() == ()


def test_files_of_its_own_keep_a_machine(store, wish):
    with store.claim(SPEC, wish("web", keep=False)) as claim:
        claim.keep("disk0.img", "never-made")
        (claim.folder / "disk0.img").touch()
        claim.ended(OFF)
    assert store.record("web").made.kept == ("disk0.img", "never-made")


def test_a_machine_that_did_not_start_is_forgotten_if_it_was_new(store, wish, ran):
    with pytest.raises(RuntimeError), store.claim(SPEC, wish("web")):
        raise RuntimeError
    assert store.names() == ()
    ran("web")
    with pytest.raises(RuntimeError), store.claim(SPEC, wish("web")):
        raise RuntimeError
    assert store.record("web").status is Status.STOPPED


def test_removal_takes_what_is_ours_and_nothing_else(store, wish):
    with store.claim(SPEC, wish("web")) as claim:
        claim.keep("snapshots", "link")
        (claim.folder / "snapshots" / "a").mkdir(parents=True)
        (claim.folder / "link").symlink_to("/etc")
        claim.ended(OFF)
    (claim.folder / "precious").touch()
    (claim.folder / place.CONSOLE_LOG).touch()
    (claim.folder / ".tmp-sampan-0123456789ab").touch()
    store.remove("web")
    assert [each.name for each in claim.folder.iterdir()] == ["precious"]
    assert Path("/etc").is_dir()
    assert store.names() == ()


def test_disks_that_were_made_for_it_go_only_if_that_is_said(store, wish, tmp_path):
    def run(*names):
        with store.claim(SPEC, wish("web", folder=tmp_path / "web-state", keep=False)) as claim:
            for name in names:
                claim.keep(name)
                (claim.folder / name).touch()
            claim.keep_disks("disk0.img", "never-made.img")
            claim.ended(OFF)
        return claim.folder

    folder = run("disk0.img", "data.iso")
    assert store.remove("web").kept == (folder / "disk0.img",)
    assert [each.name for each in folder.iterdir()] == ["disk0.img"]
    run()  # they were there before it, this time
    assert store.record("web").made.disks == ("disk0.img", "never-made.img")
    removed = store.remove("web", disks=True)
    assert (removed.name, removed.removed, removed.kept) == ("web", (folder / "disk0.img",), ())
    assert not folder.exists()


def test_a_start_that_fails_takes_only_the_disks_that_it_made(store, wish, tmp_path):
    folder = tmp_path / "web-state"
    folder.mkdir()
    (folder / "disk0.img").touch()
    with store.claim(SPEC, wish("web", folder=folder)) as claim:
        (folder / "disk1.img").touch()
        claim.keep("disk1.img")
        claim.keep_disks("disk0.img", "disk1.img")  # and does not say that it ended
    assert store.names() == ()
    assert [each.name for each in folder.iterdir()] == ["disk0.img"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "machine.json", "lock"])
def test_only_names_in_its_folder_can_be_kept(store, wish, name):
    with store.claim(SPEC, wish("web")) as claim:
        with pytest.raises(ValueError, match="not names for files"):
            claim.keep(name)
        with pytest.raises(ValueError, match="not names for files"):
            claim.keep_disks(name)
        claim.ended(OFF)


def test_names_as_they_come_get_numbers(store, wish, ran):
    ran("other")
    with store.claim(SPEC, wish("my web")) as first, store.claim(SPEC, wish("my web")) as second:
        assert (first.name, second.name) == ("my-web", "my-web-2")
        assert second.spec.name == "my-web-2"
        first.ended(OFF)
        second.ended(OFF)
    assert ran("my web").name == "my-web", "a name that is free again is taken again"
    other = MachineSpec(kernel=Path("/another"))
    with store.claim(other, wish("my web")) as claim:
        assert claim.name == "my-web-3"
        claim.ended(OFF)


def test_an_exact_name_is_that_one_or_none(store, wish, ran):
    with store.claim(SPEC, wish("web", exact=True)) as claim:
        with (
            pytest.raises(MachineError, match="a machine called web runs already"),
            store.claim(SPEC, wish("web", exact=True)),
        ):
            pytest.fail("it was claimed twice")
        claim.ended(OFF)
    other = MachineSpec(kernel=Path("/another"))
    with store.claim(other, wish("web", exact=True)) as claim:
        claim.ended(OFF)
    assert store.record("web").made.spec.kernel == Path("/another")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "x" * 64, "ä", "a b", ".lock"])
def test_what_is_no_name_is_refused(store, wish, name):
    with pytest.raises(UsageError, match="is no name for a machine"):
        store.record(name)
    with pytest.raises(UsageError), store.claim(SPEC, wish(name, exact=True)):
        pytest.fail("it was taken")


def test_a_suspended_machine_waits(store, wish, ran):
    claim = ran("web")
    (claim.folder / place.SUSPENDED).write_text("{}")
    assert store.record("web").status is Status.SUSPENDED
    with (
        pytest.raises(MachineError, match="web is suspended"),
        store.claim(SPEC, wish("web", exact=True)),
    ):
        pytest.fail("it was lost")
    assert ran("web").name == "web-2"
    with store.claim(SPEC, wish("web", exact=True, resumes=True)) as claim:
        assert store.record("web").status is Status.STARTING
        claim.ended(OFF)


def test_beginnings_of_names(store, ran):
    for name in ("web", "web-2", "db"):
        ran(name)
    assert store.find("web").name == "web"
    assert store.find("d").name == "db"
    with pytest.raises(UsageError, match="'w' may be any of web, web-2"):
        store.find("w")
    with pytest.raises(NoSuchMachineError) as caught:
        store.find("")
    assert caught.value.hint == "there is db, web, web-2"


def test_a_folder_elsewhere(store, wish, tmp_path):
    folder = tmp_path / "web-state"
    folder.mkdir()
    (folder / "precious").touch()
    with store.claim(SPEC, wish("web", folder=folder, keep=False)) as claim:
        assert claim.folder == folder
        with (
            pytest.raises(MachineError, match="a machine called web runs already") as caught,
            store.claim(SPEC, wish("other", folder=folder)),
        ):
            pytest.fail("two have one folder")
        assert caught.value.hint == (
            "stop it: sampan stop web; or keep the files of this one elsewhere, "
            f"not in {folder}: --state FOLDER"
        )
        claim.keep("disk0.img")
        (folder / "disk0.img").touch()
        claim.ended(OFF)
    assert store.find("web").folder == folder
    with pytest.raises(UsageError, match="belongs to the machine web"):
        store.claim(SPEC, wish("db", exact=True, folder=folder)).__enter__()
    with store.claim(SPEC, wish("anything", folder=folder)) as claim:
        assert claim.name == "web"
        claim.ended(OFF)
    with store.claim(SPEC, wish("web")) as claim:
        assert claim.name == "web-2", "its files are another's"
        claim.ended(OFF)
    store.remove("web")
    assert [each.name for each in folder.iterdir()] == ["precious"]
    assert not (store.root / "web").is_symlink()


def test_a_folder_that_was_made_goes_too(store, wish, tmp_path):
    with store.claim(SPEC, wish("web", folder=tmp_path / "a" / "web-state")) as claim:
        claim.ended(OFF)
    store.remove("web")
    assert not claim.folder.exists()


def test_a_folder_that_is_gone(store, wish, tmp_path, ran):
    folder = tmp_path / "web-state"
    with store.claim(SPEC, wish("web", folder=folder, keep=False)) as claim:
        (folder / "disk").touch()
        claim.keep("disk")
        claim.ended(OFF)
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    assert store.names() == ()
    assert ran("web").folder == store.root.resolve() / "web"


def test_links_last_as_long_as_the_run(store, wish):
    with store.claim(SPEC, wish("web", keep=False)) as claim:
        path = claim.link("connect", Path("/run/x"))
        claim.link("connect", Path("/run/y"))
        assert path.readlink() == Path("/run/y")
        (claim.folder / "mine").touch()
        with pytest.raises(MachineError, match="is in the way"):
            claim.link("mine", Path("/run/x"))
        claim.ended(OFF)
    assert not path.is_symlink()
    assert [each.name for each in claim.folder.iterdir()] == ["mine"]


def _abandon(store, name, **changes):
    """Make it look as if whoever runs `name` had been killed."""
    path = store.root / name / place.RUN
    run = store.record(name).run
    place.write(path, replace(run, ended=None, **changes))


def test_a_supervisor_that_was_killed(store, ran, gone, sleeper, wish):
    folder = ran("web").folder
    left = state.Identity.of(sleeper.pid)
    _abandon(store, "web", supervisor=gone, hypervisor=left, phase=Status.RUNNING)
    (folder / place.TTY).symlink_to("/dev/null")
    found = store.record("web")
    assert found.status is Status.CRASHED
    assert f"sampan (process {gone.pid}) was killed while it ran" in found.detail
    assert f"process {sleeper.pid}) is still there" in found.detail
    healed = store.heal("web")
    assert sleeper.wait(timeout=60) == -signal.SIGKILL
    assert (healed.status, healed.detail) == (
        Status.CRASHED, f"sampan (process {gone.pid}) was killed while it ran",
    )  # fmt: skip
    assert not (folder / place.TTY).is_symlink()
    with store.claim(SPEC, wish("web")) as claim:
        assert claim.name == "web"
        claim.ended(OFF)


def test_a_start_that_was_killed_at_once_leaves_nothing_that_stays(store, ran):
    folder = store.root / "web"
    folder.mkdir(parents=True)
    (folder / place.LOCK).touch()
    assert store.names() == ()
    assert ran("web").name == "web"
    store.remove("web")
    assert not folder.exists()


def test_healing_what_another_command_forgets(store, ran, gone, monkeypatch):
    ran("web")
    _abandon(store, "web", supervisor=gone)
    locked = store._locked

    def after_the_other():
        monkeypatch.undo()
        store.remove("web")
        return locked()

    monkeypatch.setattr(store, "_locked", after_the_other)
    with pytest.raises(NoSuchMachineError):
        store.heal("web")
    assert not (store.root / "web").exists()


def test_a_runtime_folder_that_was_left_is_removed(store, ran, gone, runtime_root):
    ran("web")
    (runtime_root / "vm-0badca").mkdir()
    _abandon(store, "web", supervisor=gone)
    store.heal("web")
    assert not (runtime_root / "vm-0badca").exists()


def test_a_restart_of_the_computer(store, ran, gone):
    ran("web")
    earlier = replace(gone, pid=os.getpid(), boot_id="earlier")
    _abandon(store, "web", supervisor=earlier, hypervisor=earlier, runtime_root=Path("/nowhere"))
    found = store.record("web")
    assert (found.status, found.detail) == (
        Status.CRASHED, "this computer was restarted, or switched off, while it ran",
    )  # fmt: skip
    assert store.heal("web").run.ended.detail == found.detail
    store.remove("web")


def test_a_crash_is_healed_by_removal_and_by_the_next_run(store, ran, gone, sleeper):
    for name in ("web", "db"):
        ran(name)
    identity = state.Identity.of(sleeper.pid)
    _abandon(store, "web", supervisor=gone, hypervisor=identity)
    _abandon(store, "db", supervisor=gone)
    store.remove("web")
    assert sleeper.wait(timeout=60) == -signal.SIGKILL
    assert ran("db").name == "db"
    assert [each.status for each in store.records()] == [Status.STOPPED]


def test_a_hypervisor_that_was_killed_is_being_cleaned_up_after(store, wish, gone):
    with store.claim(SPEC, wish("web")) as claim:
        claim.update(replace(claim.run, hypervisor=gone, phase=Status.RUNNING))
        assert store.record("web").status is Status.ENDING
        assert store.heal("web").status is Status.ENDING
        claim.ended(OFF)


def test_force(store, ran, sleeper):
    ran("web")
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        _abandon(
            store, "web", supervisor=state.Identity.of(other.pid), phase=Status.RUNNING,
        )  # fmt: skip
        assert store.record("web").status is Status.RUNNING
        assert store.end_by_force("web").status is Status.CRASHED
        assert other.wait(timeout=60) == -signal.SIGKILL
    assert store.end_by_force("web").run.ended.ending is Ending.DIED
    assert sleeper.poll() is None


@pytest.mark.parametrize("name", ["machine.json", "run.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}'])
def test_damaged_documents(store, ran, wish, name, text):
    folder = ran("web").folder
    (folder / name).write_text(text)
    found = store.record("web")
    assert found.status is Status.DAMAGED
    assert str(folder / name) in found.detail
    assert store.heal("web") == found
    assert store.end_by_force("web") == found
    store.remove("web")
    assert store.names() == ()


def test_a_document_of_a_later_version(store, ran):
    folder = ran("web").folder
    made = store.record("web").made
    place.write(folder / place.MADE, replace(made, version=2))
    assert store.record("web").detail.endswith("machine.json: written by a later Sampan")


def test_a_name_that_is_damaged_is_not_taken_over(store, ran, wish):
    folder = ran("web").folder
    (folder / "machine.json").write_text("{")
    assert ran("web").name == "web-2"
    with pytest.raises(MachineError), store.claim(SPEC, wish("web", exact=True)):
        pytest.fail("it was taken over")


def test_a_home_of_200_characters(tmp_path, runtime_root):
    store = Store(tmp_path / ("h" * 200) / "machines", version="1")
    root = state.runtime_root(tmp_path / ("h" * 200))
    with store.claim(SPEC, Wish(name="w" * 63, exact=True, runtime_root=root)) as claim:
        claim.link("connect", root / "vm-0badca" / "vsock")
        claim.ended(OFF)
    assert store.find("w").status is Status.STOPPED

"""Most of it is tested by the verbs, in test_suspend.py and test_restore.py."""


def test_a_start_that_fails_is_explained(machines, sampan):
    machines.start("web", "hang")
    sampan("suspend", "web")
    [memory] = (machines.store.record("web").folder / "saved").glob("memory-*")
    memory.write_bytes(b"")
    said = sampan("resume", "web")
    assert said.status == 1
    assert "the machine did not go on" in said.err
    assert machines.store.record("web").status == "suspended"

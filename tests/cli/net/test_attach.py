import os
import subprocess
import threading
from pathlib import Path

import pytest

from sampan.cli.net import attach
from sampan.errors import UsageError
from sampan.net.setting import Fixed


def test_targets(tmp_path):
    assert attach.find("12") == 12
    assert attach.find(f"{tmp_path}/.") == Path(f"{tmp_path}/.")
    for missing in ("no-such-namespace", "/no/such/path"):
        with pytest.raises(UsageError, match=f"no network namespace {missing}"):
            attach.find(missing)


def _plan(wanted, mac="02:00:00:00:00:07", *, configure=True):
    return attach._plan({"mtu": attach.MTU, **wanted}, "tap0", mac, configure=configure)


def test_the_device_gets_the_first_address(tmp_path):
    interface, settings = _plan({})
    assert interface.mtu == settings.mtu == 65520
    assert interface.address == bytes([192, 168, 65, 3])
    assert interface.gateway == bytes([192, 168, 65, 1])
    assert (interface.name, interface.prefix_length) == ("tap0", 24)
    (fixed,) = settings.fixed
    assert (fixed.mac, fixed.address) == ("02:00:00:00:00:07", "192.168.65.3")


def test_its_own_address_is_respected():
    own = Fixed(mac="02:00:00:00:00:07", address="192.168.65.77", name="web")
    interface, settings = _plan({"fixed": (own,), "mtu": 1500})
    assert interface.address == bytes([192, 168, 65, 77])
    assert settings.fixed == (own,)
    assert interface.mtu == 1500


def test_not_configured():
    interface, settings = _plan({}, configure=False)
    assert (interface.address, interface.gateway, settings.fixed) == (b"", b"", ())


def test_macs():
    assert attach._mac("a") == attach._mac("a") != attach._mac("b")
    assert attach._mac("a").startswith("02:")
    with pytest.raises(UsageError, match="not a MAC"):
        _plan({}, "web")


@pytest.fixture
def ended():
    return threading.Event()


def test_it_ends_with_the_process(ended):
    with subprocess.Popen(["sleep", "1000"]) as process:
        with attach._watched(process.pid, None, ended):
            assert not ended.is_set()
            process.kill()
            assert ended.wait(60)


def test_it_ends_with_the_name(ended, tmp_path, monkeypatch):
    monkeypatch.setattr(attach, "LOOK_S", 0.01)
    name = tmp_path / "blue"
    name.touch()
    with attach._watched(name, None, ended):
        assert not ended.is_set()
        name.unlink()
        assert ended.wait(60)


def test_it_ends_with_a_descriptor(ended, tmp_path):
    reading, writing = os.pipe()
    with attach._watched(tmp_path, reading, ended):
        os.close(writing)
        assert ended.wait(60)
    os.close(reading)


def test_nothing_is_left_of_watching(ended, tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with attach._watched(os.getpid(), None, ended):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("words", "status"),
    [((), 2), (("--netns", "no-such-namespace"), 2), (("--netns", "4194305"), 1),
     (("--netns", "1", "--mtu", "1"), 2)],
)  # fmt: skip
def test_what_cannot_be(sampan, runtime, words, status):
    assert sampan("net", "attach", *words).status == status


@pytest.mark.parametrize("mac", ["01:00:00:00:00:01", "00:00:00:00:00:00"])
def test_macs_that_no_card_has(mac):
    with pytest.raises(UsageError, match="not the address of a single card"):
        _plan({}, mac)

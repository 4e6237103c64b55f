import threading

import msgspec
import pytest

from sampan.errors import UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service import dhcp as dhcp_module
from sampan.net.runtime.service.dhcp import DhcpService
from sampan.net.services.dhcp import Leased, Released, Settings
from sampan.net.services.lease import Pool, Snapshot
from sampan.net.wire.address import parse_ip
from sampan.net.wire.dhcpv4 import Code, Dhcp, MessageType

FIRST, LAST = parse_ip("192.168.65.10"), parse_ip("192.168.65.20")
SOMEBODY = Endpoint(bytes([192, 0, 2, 9]), 9)
SETTINGS = Settings(server="192.168.65.1", router="192.168.65.1", resolvers=("192.168.65.1",))


@pytest.fixture
def make_service(net, book):
    def make(fixed=None, **fields):
        pool = Pool(FIRST, LAST, fixed)
        service = DhcpService(net.engine, SETTINGS, pool, book, **fields)
        net.closing.append(service.close)
        return service

    return make


@pytest.fixture
def service(make_service):
    return make_service()


def test_machine_gets_an_address(net, service, make_client, resolve):
    seen = []
    service.observers.append(lambda event, now: seen.append(event))
    ip = make_client(name="Web").lease()
    assert ip == FIRST
    [event] = seen
    assert isinstance(event, Leased)
    [record] = service.leases(net.now())
    assert (record.mac, record.address, record.name) == (
        "02:00:00:00:00:01", "192.168.65.10", "web",
    )  # fmt: skip
    assert 7190 < record.remaining_s <= 7200
    assert resolve("web.sampan.internal") == (ip,)
    assert resolve("web") == (ip,)


def test_leased_address_belongs_to_its_machine(net, service, make_client):
    ip = make_client().lease()
    other = net.add(ip)
    other.udp(b"spoofed", SOMEBODY)
    assert net.engine.stack.udp_flows == ()
    net.machine.udp(b"mine", SOMEBODY, source=ip)
    assert len(net.engine.stack.udp_flows) == 1


def test_machine_with_an_address_of_its_own_choice_keeps_it(net, service, make_client):
    static = net.add(FIRST)
    static.udp(b"", SOMEBODY)
    assert make_client().lease() == bytes([192, 168, 65, 11])
    assert make_client(static).lease() == FIRST  # it asks after all


def test_nonsense_is_passed_over(net, service, make_client):
    client = make_client()
    client.send(b"nonsense")
    assert net.machine.datagrams == []
    assert client.lease() == FIRST


def test_release(net, service, make_client, resolve):
    seen = []
    service.observers.append(lambda event, now: seen.append(event))
    client = make_client(name="web")
    ip = client.lease()
    assert client.ask(MessageType.RELEASE, source=ip) is None
    assert seen[-1] == Released(net.machine.mac, ip)
    assert service.leases(net.now()) == ()
    assert ip not in service._reserved


def test_lease_ends(net, service, make_client):
    ip = make_client(name="web").lease()
    assert service._reserved == {ip: net.machine.mac}
    net.advance(7201)
    assert service._reserved == {}
    assert service.leases(net.now()) == ()


def test_fixed_address(net, make_service, make_client, resolve):
    ip = parse_ip("192.168.65.77")
    mac = net.machine.mac
    service = make_service({mac: ip}, names={mac: "db"})
    assert service._reserved == {ip: mac}
    assert make_client(name="other").lease() == ip
    assert resolve("db.sampan.internal") == (ip,)
    assert resolve("other") == (ip,)


def test_address_fixed_later(net, service, make_client, resolve):
    ip = parse_ip("192.168.65.12")
    service.fix(net.machine.mac, ip, "later")
    assert make_client().lease() == ip
    assert resolve("later") == (ip,)
    with pytest.raises(UsageError, match="fixed for another"):
        service.fix(b"\2\0\0\0\0\x99", ip)


def test_address_kept_for_a_machine(net, service, make_client, resolve):
    kept = service.reserve(net.machine.mac, None, "kept")
    assert service.fixed == {net.machine.mac: kept}
    assert make_client(name="other").lease() == kept
    assert resolve("kept") == (kept,)
    assert service.unfix(net.machine.mac)
    assert not service.unfix(net.machine.mac)
    assert not resolve("kept")
    assert resolve("other") == (kept,)


def test_lease_ends_with_its_link_and_comes_back(net, service, make_client, resolve):
    seen = []
    service.observers.append(lambda event, now: seen.append(event))
    first = make_client(name="web").lease()
    net.engine.unplug(net.machine.plug)
    service.refresh(net.now())
    assert service.leases(net.now()) == ()
    assert isinstance(seen[-1], Released)
    assert resolve("web.sampan.internal") == ()
    again = net.add(net.machine.ip)
    again.mac = net.machine.mac
    assert make_client(again).lease() == first


def test_many_short_lived_machines_do_not_use_up_the_addresses(net, service, make_client):
    for number in range(40):
        machine = net.add(net.machine.ip)
        machine.mac = bytes([2, 0, 0, 0, 1, number])
        assert make_client(machine).lease()
        net.engine.unplug(machine.plug)


def test_leases_survive(net, make_service, make_client, tmp_path):
    path = tmp_path / "state" / "leases.json"
    service = make_service(path=path)
    ip = make_client(name="web").lease()
    assert not path.exists()
    net.advance(dhcp_module.SAVE_AFTER_S)
    net.until(path.exists)
    assert path.stat().st_mode & 0o777 == 0o600
    [saved] = msgspec.json.decode(path.read_bytes(), type=Snapshot).leases
    assert saved.address == "192.168.65.10"
    second = make_service(path=path)
    assert [record.address for record in second.leases(net.now())] == ["192.168.65.10"]
    assert second._reserved == {ip: net.machine.mac}
    assert service.leases(net.now())[0].mac == second.leases(net.now())[0].mac


def test_what_was_not_saved_yet_is_saved_at_the_end(make_service, make_client, tmp_path):
    path = tmp_path / "leases.json"
    service = make_service(path=path)
    make_client().lease()
    service.close()
    assert b"192.168.65.10" in path.read_bytes()


def test_slow_disk(net, make_service, make_client, tmp_path, monkeypatch):
    path = tmp_path / "leases.json"
    service = make_service(path=path)
    release, writes = threading.Event(), []

    def write(snapshot):
        writes.append(snapshot)
        release.wait(60)

    monkeypatch.setattr(service, "_write", write)
    make_client().lease()
    net.advance(dhcp_module.SAVE_AFTER_S)
    net.until(lambda: writes)
    make_client().lease()
    net.advance(dhcp_module.SAVE_AFTER_S)
    assert len(writes) == 1
    release.set()
    net.until(lambda: not service._is_saving)
    net.advance(dhcp_module.SAVE_AFTER_S)
    net.until(lambda: len(writes) == 2)


@pytest.mark.parametrize("content", [b"{", b'{"leases": [{"mac": "x"}]}', b"[]", b"x" * 5_000_000])
def test_damaged_file(make_service, make_client, tmp_path, caplog, content):
    path = tmp_path / "leases.json"
    path.write_bytes(content)
    service = make_service(path=path)
    assert "not taken over" in caplog.text
    make_client().lease()
    service.close()
    assert b"192.168.65.10" in path.read_bytes()


def test_folder_that_cannot_be_written(net, make_service, make_client, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    service = make_service(path=tmp_path / "file" / "leases.json")
    make_client().lease()
    net.advance(dhcp_module.SAVE_AFTER_S)
    net.until(lambda: "cannot be kept" in caplog.text)
    assert service.leases(net.now())


def test_nobody_speaks_for_another_card(net, service, make_client, resolve):
    ip = make_client(name="web").lease()
    other = net.add(bytes([192, 168, 65, 30]))
    thief = make_client(other, name="mine")
    for kind in (MessageType.RELEASE, MessageType.DECLINE, MessageType.REQUEST):
        forged = Dhcp(
            True, 7, net.machine.mac, client=ip,
            options={
                Code.MESSAGE_TYPE: bytes([kind]), Code.REQUESTED_ADDRESS: ip,
                Code.HOST_NAME: b"mine",
            },
        )  # fmt: skip
        thief.send(forged.emit())
    assert other.datagrams == []
    assert resolve("web") == (ip,)
    assert resolve("mine") is None

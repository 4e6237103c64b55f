import logging

import pytest

from sampan.net.runtime.service.source import Follower, Sources
from sampan.net.services.dnsmodel import Config, Split
from sampan.net.services.hosts import Entry, Hosts
from sampan.net.services.resolver import Resolver, Server

SPLITS = (Split("corp.example", (Server("10.9.9.9"),)),)


@pytest.fixture
def files(tmp_path):
    configuration, names = tmp_path / "resolv.conf", tmp_path / "hosts"
    configuration.write_text("nameserver 10.0.0.1\n")
    names.write_text("127.0.0.1 localhost\n127.0.1.1 laptop\n10.0.0.9 nas nas.home\n")
    return configuration, names


@pytest.fixture
def sources(files):
    configuration, names = files
    return Sources(
        configuration=configuration, hosts=(names,), splits=SPLITS, loopback="192.168.65.254"
    )


def test_first_look_tells_everything(sources):
    config, table = Follower(sources).look(0)
    assert config == Config(resolver=Resolver(servers=(Server("10.0.0.1"),)), splits=SPLITS)
    assert table == Hosts(
        (Entry("192.168.65.254", ("laptop",)), Entry("10.0.0.9", ("nas", "nas.home")))
    )


def test_changes_are_told_once(sources, files):
    follower = Follower(sources)
    follower.look(0)
    assert follower.look(1) == (None, None)
    files[0].write_text("nameserver 10.8.0.1\n")
    config, table = follower.look(2)
    assert config.resolver.servers == (Server("10.8.0.1"),)
    assert table is None
    assert follower.config is config
    files[0].write_text("# written anew\nnameserver 10.8.0.1\n")
    files[1].write_text("10.0.0.8 nas\n")
    assert follower.look(3) == (None, Hosts((Entry("10.0.0.8", ("nas",)),)))


def test_resolver_of_the_user(sources):
    given = Resolver(servers=(Server("9.9.9.9"),))
    follower = Follower(Sources(resolver=given, configuration=sources.configuration, hosts=()))
    assert follower.look(0) == (Config(resolver=given), Hosts())
    assert follower.look(5) == (None, None)


def test_host_without_configuration(tmp_path, caplog):
    follower = Follower(Sources(configuration=tmp_path / "none", hosts=(tmp_path / "none",)))
    with caplog.at_level(logging.WARNING):
        assert follower.look(0) == (Config(), Hosts())
        follower.look(5)
    assert len(caplog.records) == 1
    assert "machines find no names outside" in caplog.text


def test_configuration_that_vanishes_still_holds(sources, files, caplog):
    follower = Follower(sources)
    follower.look(0)
    files[0].unlink()
    assert follower.look(1) == (None, None)
    assert follower.config.resolver.servers == (Server("10.0.0.1"),)
    assert "machines find no names" not in caplog.text

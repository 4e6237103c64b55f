from pathlib import Path

import click
import pytest

from sampan.cli.net import setting
from sampan.errors import UsageError
from sampan.net.services.dnsmodel import Split
from sampan.net.services.resolver import Server
from sampan.net.setting import Fixed, Settings


@pytest.fixture
def parse():
    """The settings that flags mean."""
    seen = []

    @click.command()
    @setting.options
    def command(wanted):
        seen.append(setting.build(wanted))

    def parse(*words):
        command.main([str(word) for word in words], standalone_mode=False)
        return seen.pop()

    return parse


def test_nothing_is_the_defaults(parse):
    assert parse() == Settings()


def test_plain_fields(parse):
    said = parse(
        "--subnet", "10.9.0.0/24", "--host-ip", "10.9.0.9", "--lowest-ip", "10.9.0.20",
        "--highest-ip", "10.9.0.30", "--prefix6", "", "--mtu", "9000", "--domain", "lab",
        "--search", "a.test", "--search", "b.test", "--host-access", "none", "--http-view", "--sleepy",
        "--port-max-idle-time", "5", "--max-connections", "7",
        "--dns-rate", "8", "--host-names", "a.lan, b.lan", "--gateway-names", "gw.lan",
    )  # fmt: skip
    assert said == Settings(
        subnet="10.9.0.0/24", host="10.9.0.9", lowest="10.9.0.20", highest="10.9.0.30", prefix6="",
        mtu=9000, domain="lab", search=("a.test", "b.test"), host_access="none", http_view=True, wakeful=False,
        idle_s=5.0, max_connections=7, names_per_s=8, host_names=("a.lan", "b.lan"), gateway_names=("gw.lan",),
    )  # fmt: skip


def test_vpnkits_gateway_brings_its_subnet(parse):
    said = parse("--gateway-ip", "192.168.70.1", "--host-ip", "192.168.70.2")
    assert (said.subnet, said.gateway) == ("192.168.70.0/24", "192.168.70.1")
    with pytest.raises(UsageError, match="not an IPv4 address"):
        parse("--gateway", "router")


def test_files(parse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    said = parse("--leases", "l", "--har", "h", "--hosts", "a", "--hosts", "/dev/null")
    assert said.leases_file == tmp_path / "l"
    assert said.har_file == tmp_path / "h"
    assert [str(each) for each in said.hosts_files] == [str(tmp_path / "a"), "/dev/null"]
    with pytest.raises(UsageError, match="--hosts b: there is no such file"):
        parse("--hosts", "b")


def test_machines(parse):
    said = parse("--fix", "02:00:00:00:00:01=192.168.65.9,web", "-p", "8080-8081:web:80-81")
    assert said.fixed == (Fixed(mac="02:00:00:00:00:01", address="192.168.65.9", name="web"),)
    assert [each.port for each in said.forwards] == [8080, 8081]


@pytest.mark.parametrize(
    ("values", "servers", "splits"),
    [
        (["192.0.2.1"], (Server("192.0.2.1"),), ()),
        (["192.0.2.1:5353", "::1"], (Server("192.0.2.1", 5353), Server("::1")), ()),
        (["[2001:db8::1]:53"], (Server("2001:db8::1"),), ()),
        (["corp=10.0.0.1", "corp=10.0.0.2:99"], None,
         (Split("corp", (Server("10.0.0.1"), Server("10.0.0.2", 99))),)),
        (["resolv.conf"], (Server("192.0.2.9"),), ()),
    ],
)  # fmt: skip
def test_resolvers(parse, tmp_path, monkeypatch, values, servers, splits):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.9\noptions use-vc\n")
    said = parse(*(word for value in values for word in ("--dns", value)))
    assert (said.resolver.servers if said.resolver else None) == servers
    assert said.splits == splits
    if values == ["resolv.conf"]:
        assert said.resolver.use_tcp


@pytest.mark.parametrize("value", ["nameserver", "192.0.2.1:x", "192.0.2.1:0", "corp=", "[::1"])
def test_what_is_no_resolver(parse, value):
    with pytest.raises(UsageError, match="neither the address"):
        parse("--dns", value)


def test_proxies(parse, tmp_path, monkeypatch):
    said = parse("--proxy", "http://user:pass@proxy:3128", "--no-proxy", "a.test,10.0.0.0/8").proxy
    assert said.http == said.https
    assert (said.http.host, said.http.port) == ("proxy", 3128)
    assert said.excludes == ("a.test", "10.0.0.0/8")
    ca = parse("--proxy", "https://proxy", "--proxy-ca", "/a.pem", "--proxy-ca", "b.pem").proxy
    assert ca.http.tls
    assert ca.certificates == (Path("/a.pem"), Path("b.pem").absolute())
    assert parse("--no-proxy", "a").proxy is None
    file = tmp_path / "http.json"
    file.write_text('{"http": "p:1", "https": null, "exclude": "x,y"}')
    said = parse("--http", file).proxy
    assert (said.http.port, said.https, said.excludes) == (1, None, ("x", "y"))


def test_the_proxy_of_the_environment(parse, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "s:2")
    monkeypatch.setenv("NO_PROXY", "z")
    said = parse("--proxy", "env").proxy
    assert (said.http, said.https.host, said.excludes) == (None, "s", ("z",))


def test_vpnkits_dhcp_file(parse, tmp_path):
    file = tmp_path / "dhcp.json"
    file.write_text('{"searchDomains": ["a", "b"], "domainName": "c"}')
    said = parse("--dhcp", file)
    assert (said.search, said.domain) == (("a", "b"), "c")
    file.write_text("{}")
    assert parse("--dhcp", file) == Settings()


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_json_files_that_are_none(parse, tmp_path, text):
    file = tmp_path / "f.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"f\.json"):
        parse("--dhcp", file)


def test_policy(parse, tmp_path):
    file = tmp_path / "p.yml"
    assert parse("--policy", file).policy_file == file


@pytest.mark.parametrize(
    "words",
    [("--fix", "x"), ("--fix", "x=192.168.65.9"), ("--mtu", "1"), ("--subnet", "x"), ("-p", "80"),
     ("--dhcp", "/no/such"), ("--gateway", "192.168.65.1", "--host-ip", "192.168.65.1")],
)  # fmt: skip
def test_what_makes_no_sense(parse, words):
    with pytest.raises(UsageError):
        parse(*words)


def test_every_flag_is_described():
    assert [row.flags for row in setting.ROWS if not row.help.endswith((".", "]"))] == []
    flags = [flag for row in setting.ROWS for flag in row.flags]
    assert len(set(flags)) == len(flags)


def test_a_proxys_file_that_is_not_there(parse, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        parse("--proxy", tmp_path / "http.json")


def test_forwards_of_the_gateway(parse, tmp_path):
    file = tmp_path / "gateway.json"
    file.write_text('[{"external_port": 8080, "internal_ip": "127.0.0.1", "internal_port": 80}]')
    (said,) = parse("--gateway-forwards", file).gateway_forwards
    assert (said.external_port, said.internal_port, said.protocol) == (8080, 80, "tcp")
    file.write_text("[{}]")
    with pytest.raises(UsageError, match=r"gateway\.json: these are no forwards"):
        parse("--gateway-forwards", file)
    with pytest.raises(UsageError, match="cannot be read"):
        parse("--gateway-forwards", tmp_path / "none")

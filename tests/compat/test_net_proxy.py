"""curl, and openssl's server, by way of tinyproxy: the transparent proxy and metadata.

The proxy and the servers behind it live in a namespace of their own, in which 198.51.100.7 is
theirs; nobody else reaches that address.
"""

import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from select import select

import pytest

from sampan.net.runtime.service.metadata import MetadataService
from sampan.net.services.metadata import Identity
from sampan.net.services.proxy import Proxy, Settings

pytestmark = pytest.mark.compat
ADDRESS, NAME = "198.51.100.7", "www.behind.test"
CONFIGURATION = """
Port 8888
Listen 127.0.0.1
Timeout 30
MaxClients 20
BasicAuth me secret
ConnectPort 443
DisableViaHeader Yes
LogFile "{log}"
PidFile "{pid}"
"""


@pytest.fixture
def behind(new_network, background, wait_until, tmp_path):
    """The namespace with the proxy, a web server at port 80, and one with TLS at 443."""
    found = new_network().machine()
    found.ip(f"addr add {ADDRESS}/32 dev lo")
    (tmp_path / "hosts").write_text(f"{ADDRESS} {NAME}\n127.0.0.1 localhost\n")
    found.run(["mount", "--bind", tmp_path / "hosts", "/etc/hosts"])
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "page").write_text("from behind the proxy\n")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    found.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", key, "-out", certificate]
    )  # fmt: skip
    text = CONFIGURATION.format(log=tmp_path / "log", pid=tmp_path / "pid")
    (tmp_path / "conf").write_text(text)
    background(found, ["tinyproxy", "-d", "-c", tmp_path / "conf"])
    background(found, [sys.executable, "-m", "http.server", "-d", tmp_path / "www", "80"])
    serve = f"exec openssl s_server -accept 443 -key {key} -cert {certificate} -WWW"
    background(found, ["sh", "-c", f"cd {tmp_path}/www && {serve}"])

    def listens(port):
        with suppress(OSError), found.connect("127.0.0.1", port):
            return True
        return False

    for port in (8888, 80, 443):
        wait_until(lambda port=port: listens(port), f"server at port {port}")
    return found


@pytest.fixture
def proxy(behind, host_server):
    """The proxy as the host sees it."""

    def passed_on(source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(1)

    def handle(connection):
        with behind.connect("127.0.0.1", 8888) as inside:
            back = threading.Thread(target=passed_on, args=(inside, connection))
            back.start()
            passed_on(connection, inside)
            back.join()

    port = host_server(handle)
    return Proxy.parse(f"http://me:secret@127.0.0.1:{port}")


@pytest.fixture
def secure_proxy(behind, host_server, tmp_path):
    """The same behind TLS, and the CA of its certificate."""
    key, certificate = tmp_path / "proxy.key", tmp_path / "proxy.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=proxy", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def handle(connection):
        """In one thread: TLS is not for two."""
        with (
            suppress(OSError),
            context.wrap_socket(connection, server_side=True) as outside,
            behind.connect("127.0.0.1", 8888) as inside,
        ):
            while True:
                ready = [outside] if outside.pending() else select([outside, inside], [], [])[0]
                for source, sink in ((outside, inside), (inside, outside)):
                    if source in ready:
                        if not (data := source.recv(65536)):
                            return
                        sink.sendall(data)

    port = host_server(handle)
    return Proxy.parse(f"https://me:secret@127.0.0.1:{port}"), certificate


@pytest.fixture
def web(new_network, proxy):
    """A machine on a network that goes by way of the proxy."""
    network = new_network(proxy=Settings(http=proxy, https=proxy))
    machine = network.machine()
    machine.network = network
    return machine


def curl(machine, *arguments, check=True):
    resolve = "--resolve", f"{NAME}:80:{ADDRESS}", "--resolve", f"{NAME}:443:{ADDRESS}"
    return machine.run(
        ["curl", "-sS", "-m", "60", "--noproxy", "*", *resolve, *arguments], check=check
    )


def test_http(web):
    assert curl(web, f"http://{NAME}/page").stdout == "from behind the proxy\n"
    twice = curl(web, f"http://{NAME}/page", f"http://{NAME}/nothing", "-w", "%{http_code} ")
    assert twice.stdout.startswith("from behind the proxy\n200 ")
    assert "404" in twice.stdout


def test_https(web, tmp_path):
    argv = ["--cacert", tmp_path / "cert.pem", f"https://{NAME}/page"]
    assert curl(web, *argv).stdout == "from behind the proxy\n"
    web.network.settled()


def test_proxy_behind_tls(new_network, secure_proxy, tmp_path, caplog):
    proxy, certificate = secure_proxy
    network = new_network(proxy=Settings(http=proxy, https=proxy, certificates=(certificate,)))
    machine = network.machine()
    assert curl(machine, f"http://{NAME}/page").stdout == "from behind the proxy\n"
    argv = ["--cacert", tmp_path / "cert.pem", f"https://{NAME}/page"]
    assert curl(machine, *argv).stdout == "from behind the proxy\n"
    network.settled()
    network.call(lambda assembly: assembly.proxy.replace(Settings(http=proxy)))
    assert curl(machine, f"http://{NAME}/page", check=False).returncode == 7
    assert "its certificate is not trusted: self-signed certificate" in caplog.text


def test_address_without_a_name(web):
    assert curl(web, f"http://{ADDRESS}/page").stdout == "from behind the proxy\n"
    assert curl(web, "-k", f"https://{ADDRESS}/page").stdout == "from behind the proxy\n"


def test_wrong_password(new_network, proxy):
    wrong = Proxy(host=proxy.host, port=proxy.port, authorization="Basic eDp5")
    machine = new_network(proxy=Settings(http=wrong, https=wrong)).machine()
    found = curl(machine, "-o", "/dev/null", "-w", "%{http_code}", f"http://{NAME}/page")
    assert found.stdout in ("401", "407")
    assert curl(machine, "-k", f"https://{NAME}/page", check=False).returncode != 0


def test_proxy_that_is_not_there(new_network, web):
    web.network.call(
        lambda assembly: assembly.proxy.replace(Settings(http=Proxy(host="127.0.0.1", port=1)))
    )
    found = curl(web, f"http://{NAME}/page", check=False)
    assert found.returncode == 7  # could not connect


def test_metadata(virtual_network, machine):
    identity = Identity(instance_id="i-7", user_data=b"#cloud-config\n")

    def serve(assembly):
        service = MetadataService(assembly.engine, assembly.outbound)
        service.identify(lambda address: identity)

    base = "http://169.254.169.254/latest"
    assert curl(machine, f"{base}/user-data", check=False).returncode == 7
    virtual_network.call(serve)
    assert curl(machine, f"{base}/user-data").stdout == "#cloud-config\n"
    header = "X-aws-ec2-metadata-token-ttl-seconds: 60"
    token = curl(machine, "-X", "PUT", "-H", header, f"{base}/api/token").stdout
    found = curl(
        machine, "-H", f"X-aws-ec2-metadata-token: {token}", f"{base}/meta-data/instance-id"
    )
    assert found.stdout == "i-7"

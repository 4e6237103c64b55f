import msgspec
import pytest

from sampan.errors import UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service.httptalk import Request, Response
from sampan.net.runtime.service.metadata import ADDRESS, MAX_ANSWER, TOKEN_PATH, MetadataService
from sampan.net.services.metadata import Identity

SERVICE = Endpoint(ADDRESS, 80)
TTL = "X-aws-ec2-metadata-token-ttl-seconds"


class Rack(msgspec.Struct):
    number: int


@pytest.fixture
def service(net):
    return MetadataService(net.engine, net.outbound)


@pytest.fixture
def ask(net, service):
    """The answer to a request of the machine."""

    def go(path, method="GET", **fields):
        named = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        request = Request(machine=net.machine.ip, method=method, path=path, fields=named)
        return service.answer(request)

    return go


@pytest.fixture
def known(net, service):
    """Only the first machine is somebody."""
    identity = Identity(instance_id="i-1", user_data=b"data")
    service.identify(lambda address: identity if address == net.machine.ip else None)
    return identity


def test_nothing_is_there_before_something_is_given(net, service):
    connection = net.machine.connect(SERVICE)
    net.until(lambda: connection.state == "refused")


def test_over_the_network(net, service, known):
    connection = net.machine.connect(SERVICE)
    connection.send(b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
    net.until(lambda: connection.data.endswith(b"i-1"))
    assert connection.data.startswith(b"HTTP/1.1 200 OK\r\n")


def test_each_machine_is_itself(net, service, known):
    other = net.add(bytes([192, 168, 65, 4]))
    connection = other.connect(SERVICE)
    connection.send(b"GET /latest/user-data HTTP/1.0\r\n\r\n")
    net.until(lambda: connection.is_ended)
    assert connection.data.startswith(b"HTTP/1.1 404 ")


def test_trees(net, known, ask):
    assert ask("/latest/user-data") == Response(body=b"data")
    assert ask("/latest/meta-data/local-ipv4").body == b"192.168.65.3"
    assert ask("/latest/meta-data/nothing").status == 404
    assert ask("/latest/user-data", "POST").status == 405


def test_handlers(service, ask):
    service.handle("/one", lambda request: request.method)
    service.handle("/below/", lambda request: {"path": request.path})
    service.handle("/below/struct", lambda request: Rack(7))
    service.handle("/below/none", lambda request: None)
    service.handle("/below/own", lambda request: Response(status=418))
    assert ask("/one", "DELETE") == Response(body=b"DELETE")
    assert ask("/one/more").status == 404
    found = ask("/below/x")
    assert (found.body, found.content_type) == (b'{"path":"/below/x"}', "application/json")
    assert ask("/below/struct").body == b'{"number":7}'
    assert ask("/below/none").status == 404
    assert ask("/below/own").status == 418


def test_handlers_come_before_the_trees(service, known, ask):
    service.handle("/latest/user-data", lambda request: b"mine")
    assert ask("/latest/user-data").body == b"mine"
    assert ask("/latest/meta-data/instance-id").body == b"i-1"


def test_answer_that_is_too_large(service, ask):
    service.handle("/big", lambda request: bytes(MAX_ANSWER + 1))
    with pytest.raises(ValueError, match="more than"):
        ask("/big")


def test_no_path(service):
    with pytest.raises(UsageError, match="is no path"):
        service.handle("x", lambda request: None)


def test_tokens(net, service, known, ask):
    answer = ask(TOKEN_PATH, "PUT", **{TTL: "60"})
    assert answer.status == 200
    assert answer.fields == ((TTL.lower(), "60"),)
    token = answer.body.decode()
    assert ask("/latest/user-data", X_aws_ec2_metadata_token=token).body == b"data"
    assert ask("/latest/user-data", X_aws_ec2_metadata_token="forged").status == 401
    net.advance(62)
    assert ask("/latest/user-data", X_aws_ec2_metadata_token=token).status == 401


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", {}, 405),
        ("PUT", {}, 400),
        ("PUT", {TTL: "0"}, 400),
        ("PUT", {TTL: "21601"}, 400),
        ("PUT", {TTL: "9" * 5000}, 400),
        ("PUT", {TTL: "-1"}, 400),
        ("PUT", {TTL: "60", "X-Forwarded-For": "10.0.0.1"}, 403),
    ],
)
def test_tokens_that_are_not_given(known, ask, method, fields, status):
    assert ask(TOKEN_PATH, method, **fields).status == status

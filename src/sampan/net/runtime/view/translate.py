"""Between what hooks see and answer (`net.hook`) and what goes over the wire."""

from __future__ import annotations

from http import HTTPStatus

from sampan.net.hook import DnsQuery, FlowInfo, HttpRequest, Resolve, Respond
from sampan.net.services.dnsmodel import Client
from sampan.net.services.httpgate import Reply
from sampan.net.services.httphead import RequestHead, ResponseHead
from sampan.net.wire.address import format_ip, parse_ip
from sampan.net.wire.dns import Message, Question, Record, Type, format_name, parse_name
from sampan.net.wire.error import MalformedError

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_ADDRESS_TYPES = {4: Type.A, 16: Type.AAAA}
_MAX_TTL_S = 0x7FFFFFFF
_OURS = ("content-length", "transfer-encoding", "connection")  # the gate says these


def request_of(head: RequestHead, flow: FlowInfo) -> HttpRequest:
    """What a hook is shown of a request.

    Raises:
        MalformedError: the request names no sound host.
    """
    return HttpRequest(
        flow=flow,
        method=head.method,
        target=head.target,
        version=head.version,
        host=head.host.lower(),
        headers=head.fields,
    )


def head_of(request: HttpRequest) -> RequestHead:
    """The head that stands for a request; `host` decides over the header of that name.

    Raises:
        MalformedError: something in it cannot stand in a head.
    """
    head = RequestHead(request.method, request.target, request.version, request.headers)
    if request.host != head.host.lower():
        rest = tuple(each for each in head.fields if each[0].lower() != "host")
        head = RequestHead(
            request.method, request.target, request.version, (("Host", request.host), *rest)
        )
    head.emit()
    return head


def reply_of(respond: Respond) -> Reply:
    """The response that a hook gave.

    Raises:
        MalformedError: something in it cannot stand in a response.
    """
    if not 200 <= respond.status <= 999:
        raise MalformedError(f"a response of status {respond.status}")
    fields = tuple(each for each in respond.headers if each[0].lower() not in _OURS)
    reason = respond.reason or _phrase(respond.status)
    ResponseHead(respond.status, reason, "HTTP/1.1", fields).emit()
    return Reply(respond.status, reason, fields, respond.body)


def refusal(reason: str) -> Reply:
    """The response that says that a request was refused."""
    return Reply(403, _phrase(403), (_TEXT,), f"{reason}\n".encode())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def query_of(client: Client, question: Question, machine_name: str) -> DnsQuery:
    """What a hook is shown of a machine's question."""
    return DnsQuery(
        machine=format_ip(client.address),
        machine_name=machine_name,
        name=format_name(question.name),
        kind=_kind_name(question.kind),
        over_tcp=client.over_tcp,
    )


def question_of(query: DnsQuery) -> Question:
    """The question that stands for a query.

    Raises:
        ValueError: its name or kind is none.
    """
    return Question(parse_name(query.name), _kind_number(query.kind))


def answer_of(question: Question, resolve: Resolve) -> Message:
    """The answer that a hook gave: those of its addresses that are of the kind asked for.

    Raises:
        ValueError: an address is none, or the time to live is no such number.
    """
    if not 0 <= resolve.ttl_s <= _MAX_TTL_S:
        raise ValueError(f"a time to live of {resolve.ttl_s} seconds")
    records = tuple(
        Record(question.name, question.kind, resolve.ttl_s, raw)
        for raw in map(parse_ip, resolve.addresses)
        if question.kind == _ADDRESS_TYPES[len(raw)]
    )
    return Message(0, response=True, recursion_available=True, answers=records)


def _kind_name(number: int) -> str:
    try:
        return Type(number).name
    except ValueError:
        return f"TYPE{number}"  # RFC 3597, 5


def _kind_number(name: str) -> int:
    if name in Type.__members__:
        return Type[name]
    digits = name.removeprefix("TYPE")
    if digits == name or not (digits.isascii() and digits.isdigit()) or int(digits[:6]) > 0xFFFF:
        raise ValueError(f"{name!r} is no kind of DNS record")
    return int(digits)

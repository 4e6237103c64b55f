"""Between what hooks see and answer (`net.hook`) and what goes over the wire."""

from __future__ import annotations

from http import HTTPStatus

from sampan.net.hook import FlowInfo, HttpRequest, Respond
from sampan.net.services.httpgate import Reply
from sampan.net.services.httphead import RequestHead, ResponseHead
from sampan.net.wire.error import MalformedError

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
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

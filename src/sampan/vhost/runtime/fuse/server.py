"""Requests in, answers out: whatever the guest asks is answered, with an errno if need be."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence

from sampan.base import log
from sampan.vhost.core.fuse import negotiation, reply
from sampan.vhost.core.fuse.request import Request, parse
from sampan.vhost.core.fuse.wire import OUT_HEADER, Op
from sampan.vhost.runtime.fuse.attribute import Attributes
from sampan.vhost.runtime.fuse.entry import Entries
from sampan.vhost.runtime.fuse.file import Files
from sampan.vhost.runtime.fuse.folder import Folders
from sampan.vhost.runtime.fuse.share import Handler, Share
from sampan.vhost.runtime.fuse.teller import Teller

_log = log.get(__name__)
_MAX_COMPLAINTS = 10  # in the log; a guest must not fill it
_SILENT = (Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT)  # nobody waits for an answer


class Server:
    """Answers the requests of one guest about one folder.

    `clock` is the time in nanoseconds, as files have it. With a `teller`, one of the guest's
    tasks may be it; `done` is called with each request of others that has been done.
    `complaints` is how many requests failed by a fault of ours, up to a limit.
    """

    def __init__(
        self, share: Share, clock: Callable[[], int] = time.time_ns,
        teller: Teller | None = None, done: Callable[[Request], None] | None = None,
    ) -> None:  # fmt: skip
        self._share = share
        self._teller = teller
        self._done = done
        self._files = Files(share, clock)
        self.complaints = 0
        self._handlers: dict[int, Handler] = {
            Op.INIT: self._init,
            Op.DESTROY: self._destroy,
            Op.INTERRUPT: _nothing,
            Op.ACCESS: _nothing,  # the guest's kernel decides, by what it is told of owners
            Op.RELEASEDIR: self._files.release,
            **Attributes(share).handlers,
            **Entries(share).handlers,
            **self._files.handlers,
            **Folders(share).handlers,
        }

    def handle(self, question: Sequence[memoryview], room: Sequence[memoryview]) -> int:
        """Answer the request in `question`; how many bytes of `room` the answer takes.

        Raises:
            RemoteProtocolError: there is no request, or no room even for an error.
        """
        request = parse(question)
        try:
            if request.op == Op.READ:
                size = self._files.read(request, room)
                header = OUT_HEADER.pack(OUT_HEADER.size + size, 0, request.unique)
                return reply.scatter(room, header) + size
            answer = reply.success(request.unique, self._answer(request))
        except OSError as error:
            answer = reply.failure(request.unique, error.errno or errno.EIO)
        except (ValueError, OverflowError):  # a number or a name that a system call cannot take
            answer = reply.failure(request.unique, errno.EINVAL)
        except Exception:  # noqa: BLE001  a fault of ours costs one request, not the share
            self._complain(request)
            answer = reply.failure(request.unique, errno.EIO)
        return 0 if request.op in _SILENT else reply.scatter(room, answer)

    def _answer(self, request: Request) -> bytes:
        if self._teller is not None:
            pretended = self._teller.answer(request)
            if pretended is not None:
                return pretended
        handler = self._handlers.get(request.op)
        if handler is None:
            raise OSError(errno.ENOSYS, "no such request")
        answer = handler(request)
        if self._done is not None:
            self._done(request)
        return answer

    def _complain(self, request: Request) -> None:
        if self.complaints < _MAX_COMPLAINTS:
            self.complaints += 1
            _log.exception("request %d failed", request.op)

    def _init(self, request: Request) -> bytes:
        found = negotiation.answer(request)
        self._forget_all()  # a guest that was started anew
        return found

    def _destroy(self, _: Request) -> bytes:
        self._forget_all()
        return b""

    def _forget_all(self) -> None:
        self._share.forget_all()
        if self._teller is not None:
            self._teller.reset()


def _nothing(_: Request) -> bytes:
    return b""

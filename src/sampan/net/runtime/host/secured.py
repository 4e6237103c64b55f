"""TLS on the way to a server of the host's side: the client's side of it, on sockets that never wait.

    begin = Secure(context(files), "proxy.example", failed)
    relay.connect(targets, begin)       first `host.race`, then the handshake, then the relay's

A `Secured` is used as `host.relay` uses a socket. Plaintext is taken only when what it became has
gone into the kernel, and what the kernel had is decrypted whole: so readiness of the descriptor
says all that there is to know, and nothing waits in here unseen.

The server's certificate has to be valid for its name; there is no way around that.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sampan.base.loop import Loop, Timer
from sampan.base.poller import READ, WRITE
from sampan.errors import UsageError
from sampan.net.core.event import Refusal
from sampan.net.runtime.host.race import Address, Connected, Race

HANDSHAKE_S = 15.0
_CHUNK = 1 << 16


def context(certificates: Sequence[Path] = ()) -> ssl.SSLContext:
    """What is trusted: the CAs of the system (or of SSL_CERT_FILE), and those of further files.

    Raises:
        UsageError: a file cannot be read, or holds no certificate.
    """
    made = ssl.create_default_context()
    for path in certificates:
        try:
            made.load_verify_locations(path)
        except OSError as error:
            why = "no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(f"{path} holds no CA certificates: {why}") from error
    return made


class Secured:
    """A connected socket with TLS on it. Owns `connection`."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._socket = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._unsent = bytearray()  # encrypted
        self._taken = 0  # bytes of plaintext that are in it
        self._is_ended = False

    def handshake(self) -> int:
        """Go on with the handshake; what to wait for before the next call, 0 when it is done.

        Raises:
            OSError: it failed (ssl.SSLError), or the connection is broken.
        """
        while True:
            try:
                self._tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                is_done = False
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush()  # the alert that says why
                raise
            try:
                self._flush()
            except BlockingIOError:
                return WRITE
            if is_done:
                return 0
            try:
                self._fill(_CHUNK)
            except BlockingIOError:
                return READ

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    def send(self, data: bytes | bytearray) -> int:
        """How much of the beginning of `data` has gone; the rest is to begin the next call's.

        Raises:
            OSError: as a socket's.
        """
        self._flush()
        if not self._taken:
            with memoryview(data) as whole, whole[:_CHUNK] as piece:
                self._taken = self._tls.write(piece)
            self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def recv(self, size: int) -> bytes:
        """What has come; empty at the end, with or without TLS's own word for it.

        HTTP says itself where its messages end, and tunnels carry TLS of their own.

        Raises:
            OSError: as a socket's.
        """
        while not self._is_ended:
            self._fill(size)
            data = self._decrypted(size)
            with suppress(BlockingIOError):
                self._flush()  # what TLS answers by itself
            if data:
                return data
        return b""

    def shutdown(self, how: int) -> None:
        """Say that nothing more will be sent; `how` is SHUT_WR.

        Raises:
            OSError: as a socket's.
        """
        with suppress(ssl.SSLError):  # it wants to hear the other's farewell, too
            self._tls.unwrap()
        with suppress(BlockingIOError):
            self._flush()
        self._socket.shutdown(how)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """See `socket.setsockopt`."""
        self._socket.setsockopt(level, option, value)

    def close(self) -> None:
        """End it at once; a farewell, if one is due, is `shutdown`'s."""
        self._socket.close()

    def _flush(self) -> None:
        """Send what is encrypted; BlockingIOError if something is left."""
        self._unsent += self._out.read()
        while self._unsent:
            del self._unsent[: self._socket.send(self._unsent)]

    def _fill(self, size: int) -> None:
        data = self._socket.recv(size)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _decrypted(self, size: int) -> bytes:
        """All that can be decrypted now."""
        pieces = []
        try:
            while piece := self._tls.read(size):
                pieces.append(piece)
            self._is_ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._is_ended = True
        return b"".join(pieces)


class Secure:
    """Begins connections to one server, as `Race` does, with TLS on them.

    `failed` is told why a handshake failed; the machine hears that nobody can be reached.
    """

    def __init__(self, context: ssl.SSLContext, name: str, failed: Callable[[str], None]) -> None:
        self.context = context
        self.name = name
        self.failed = failed

    def __call__(
        self,
        loop: Loop,
        targets: Sequence[Address],
        won: Callable[[Connected], None],
        lost: Callable[[Refusal], None],
    ) -> Opening:
        """See `race.Begin`."""
        return Opening(self, loop, targets, won, lost)


class Opening:
    """A connection on its way: a race, then a handshake that has `HANDSHAKE_S`."""

    def __init__(
        self,
        secure: Secure,
        loop: Loop,
        targets: Sequence[Address],
        won: Callable[[Connected], None],
        lost: Callable[[Refusal], None],
    ) -> None:
        self._secure = secure
        self._loop = loop
        self._won, self._lost = won, lost
        self._secured: Secured | None = None
        self._timer: Timer | None = None
        self._race = Race(loop, targets, self._connected, lost)

    def _connected(self, connection: Connected) -> None:
        assert isinstance(connection, socket.socket)
        self._secured = Secured(connection, self._secure.context, self._secure.name)
        self._timer = self._loop.call_at(self._loop.now() + HANDSHAKE_S, self._late)
        self._loop.watch(self._secured.fileno(), WRITE, self._step)

    def _step(self, _: int) -> None:
        secured = self._secured
        assert secured is not None
        try:
            wanted = secured.handshake()
        except OSError as error:
            self._fail(reason(error))
            return
        if wanted:
            self._loop.change(secured.fileno(), wanted)
        else:
            self._leave()
            self._won(secured)

    def _late(self) -> None:
        self._fail("it does not answer")

    def _fail(self, why: str) -> None:
        self.close()
        self._secure.failed(why)
        self._lost(Refusal.PROHIBITED)

    def _leave(self) -> None:
        """Watch the connection no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._secured is not None:
            self._loop.unwatch(self._secured.fileno())
            self._secured = None

    def close(self) -> None:
        """See `Race.close`."""
        self._race.close()
        secured = self._secured
        self._leave()
        if secured is not None:
            secured.close()


def reason(error: OSError) -> str:
    """Why a handshake failed, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "it hung up during the handshake"
    if isinstance(error, ssl.SSLError):
        if error.reason == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS"
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)

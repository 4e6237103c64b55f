"""The time on a network: SNTP at port 123 of its own addresses, out of the host's clock."""

from __future__ import annotations

from sampan.base import log
from sampan.base.clock import Clock, SystemClock
from sampan.net.core.event import ServiceDatagram
from sampan.net.runtime.engine import Engine
from sampan.net.services import ntp
from sampan.net.wire.error import MalformedError

_log = log.get(__name__)


class NtpService:
    """Tells machines what `clock` says. Service port 123 of `engine` is taken."""

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        self._engine = engine
        self._clock = clock or SystemClock()
        engine.serve(ntp.PORT, self._received)

    def _received(self, datagram: ServiceDatagram, now: float) -> None:
        if datagram.destination.address not in self._engine.stack.network.ours:
            return
        received_s = self._clock.wall_s()
        try:
            answer = ntp.answer(datagram.payload, received_s, self._clock.wall_s())
        except MalformedError as error:
            _log.debug("from %s: %s", datagram.source, error)
            return
        self._engine.stack.send_datagram(datagram.destination, datagram.source, answer, now)

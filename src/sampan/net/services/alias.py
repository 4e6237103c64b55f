"""The names that machines learnt addresses by: for policies, captures and the table of flows.

A connection goes to an address; which name it means is known only from the answer that named
the address a moment before. `learn` takes such answers (`dnsmodel.Resolved` events), `names`
gives the names of an address, the latest first, as one machine learnt them. Names along a chain
of CNAMEs count: the machine asked for the first and reached the last.

A name is kept for as long as its answer may be used and then some, because connections outlive
answers. Bounded: addresses of one machine, names of one address; the oldest go first. Whoever
knows which machines there are bounds those, by `forget` and `keep`.

It is a memory, not a proof: a machine may connect to an address under another name's cover.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.net.wire.dns import CLASS_IN, Message, Question, Type, fold, format_name

MAX_ADDRESSES = 4096
MAX_NAMES = 8
GRACE_S = 3600.0
_ADDRESS_TYPES = {Type.A: 4, Type.AAAA: 16}


class Aliases:
    """What machines learnt.

    Machines are named by an address of theirs; `identify` says what all addresses of one machine
    have in common (it asks over IPv4, and goes there over IPv6), such as its MAC.
    """

    def __init__(self, identify: Callable[[bytes], bytes] = lambda address: address) -> None:
        self._identify = identify
        self._machines: dict[bytes, dict[bytes, dict[str, float]]] = {}

    def learn(self, machine: bytes, question: Question, answer: Message, now: float) -> None:
        """A machine asked and was told."""
        chain = [question.name, *(each.name for each in answer.answers)]
        names = list(dict.fromkeys(format_name(fold(name)) for name in chain if name))[:MAX_NAMES]
        if not names:
            return
        for record in answer.answers:
            width = _ADDRESS_TYPES.get(record.kind)  # type: ignore[call-overload]
            if record.network == CLASS_IN and width == len(record.data):
                self._put(self._identify(machine), record.data, names, now + record.ttl_s + GRACE_S)

    def names(self, machine: bytes, address: bytes, now: float) -> tuple[str, ...]:
        """The names, lower-case, by which a machine knows an address; the asked for one first."""
        known = self._machines.get(self._identify(machine), {}).get(address, {})
        return tuple(name for name, until in reversed(known.items()) if until > now)

    def forget(self, machine: bytes) -> None:
        """A machine is gone, by its address or its identity: that may be another's next."""
        self._machines.pop(self._identify(machine), None)

    def __len__(self) -> int:
        return len(self._machines)

    def keep(self, is_there: Callable[[bytes], bool]) -> None:
        """Forget the machines, by their identities, that are not there any more."""
        for machine in [each for each in self._machines if not is_there(each)]:
            del self._machines[machine]

    def _put(self, machine: bytes, address: bytes, names: list[str], until: float) -> None:
        addresses = self._machines.setdefault(machine, {})
        known = addresses.pop(address, {})
        addresses[address] = known
        for name in reversed(names):  # so that the one asked for becomes the latest
            known.pop(name, None)
            known[name] = until
        while len(known) > MAX_NAMES:
            del known[next(iter(known))]
        if len(addresses) > MAX_ADDRESSES:
            del addresses[next(iter(addresses))]

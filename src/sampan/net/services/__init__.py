"""What a network offers its machines besides a way out: addresses, names, time, rules.

Each module is one service, as a pure core: bytes or values in, bytes or values out. Time is an
argument (`now`, seconds of any clock that does not go back), the next timer a return value,
randomness a callable. Nothing here opens a socket, and nothing knows how a packet reached it:
the runtime joins the services to the stack and to the host.

May import `net.core` and `net.wire`; never `net.link` or `net.runtime`.
"""

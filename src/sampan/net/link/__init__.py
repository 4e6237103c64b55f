"""How frames travel between a machine's network device and us: framings, and what wraps a link.

Framings are incremental, bounded codecs between a socket's bytes and Ethernet frames; beside
them stand captures and middleware (faults, rate limits, filters), which see frames and never
bytes of a socket. All of it is pure: the runtime owns the descriptors, the clock and the files.

May import `net.wire`; never `net.services` or `net.runtime`.
"""

"""A link on this process's standard input and output, for whoever started it as a helper.

The framing is that of VPNKit's successors (u16, little endian), or QEMU's. Nothing else may be
written to standard output while the link lives.
"""

from __future__ import annotations

from sampan.net.link.stream import VMNET, Framing
from sampan.net.runtime.attach.stream import StreamLink

_STDIN, _STDOUT = 0, 1


def stdio_link(framing: Framing = VMNET) -> StreamLink:
    """A link on descriptors 0 and 1, which it takes over."""
    return StreamLink(_STDIN, _STDOUT, framing)

"""A streaming tar codec: ustar, PAX and GNU archives in, ustar with PAX records out.

Our own, because the one of the standard library loads whole extended headers unbounded,
rounds times, and cannot stream without seeking back. Knows nothing of layers or images.
"""

from sampan.oci.tar.header import InvalidTarError
from sampan.oci.tar.reader import Content, read
from sampan.oci.tar.writer import Writer

__all__ = ["Content", "InvalidTarError", "Writer", "read"]

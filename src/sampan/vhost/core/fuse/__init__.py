"""The pure part of a FUSE file server: requests, answers, owners that are kept beside files, pretences.

Facts are from Linux' `linux/fuse.h` (versions 7.31 to 7.38) and virtio 1.2, section 5.11. The
guest's kernel is an enemy like any driver: what it writes is checked before it is used. A request
that makes no sense is answered with an error; only what cannot be answered ends the session.
"""

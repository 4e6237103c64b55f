"""The pure part of vhost-user: no socket, no mapping, no clock.

Three parties are told apart. Our caller is trusted. The front-end (QEMU) may be wrong: a message
that makes no sense raises `RemoteProtocolError`, and the session is over. The machine's driver
is an enemy: each number read from its memory is checked before it is used, and is read only
once. Facts are from the vhost-user protocol (version 1) and the virtio specification 1.2.

Numbers are little endian, in messages too, where the protocol says "native": hosts with another
order are not served.
"""

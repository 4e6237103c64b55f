"""Feature bits: of virtio and its rings, of a network device, and of vhost-user itself."""

from __future__ import annotations

from enum import IntFlag


class Virtio(IntFlag):
    """Features of every device (virtio 1.2, section 6), and two bits that vhost put there."""

    LOG_ALL = 1 << 26  # vhost: what the device writes is to be marked in a log
    ANY_LAYOUT = 1 << 27
    INDIRECT = 1 << 28
    EVENT_INDEX = 1 << 29
    PROTOCOL_FEATURES = 1 << 30  # vhost-user: `Protocol` is to be negotiated
    VERSION_1 = 1 << 32


class Net(IntFlag):
    """Features of a network device (virtio 1.2, section 5.1.3)."""

    CSUM = 1 << 0  # the device takes frames with unfinished checksums
    GUEST_CSUM = 1 << 1  # and the driver does
    MTU = 1 << 3
    GUEST_TSO4 = 1 << 7
    GUEST_TSO6 = 1 << 8
    GUEST_ECN = 1 << 9
    HOST_TSO4 = 1 << 11
    HOST_TSO6 = 1 << 12
    HOST_ECN = 1 << 13
    MERGED_BUFFERS = 1 << 15  # a frame for the driver may span several of its buffers


class Protocol(IntFlag):
    """Features of the vhost-user protocol."""

    LOG_SHARED = 1 << 1
    ANNOUNCE = 1 << 2  # "RARP": a machine that was moved may be announced by its device
    REPLY_ACK = 1 << 3
    MTU = 1 << 4
    CONFIG = 1 << 9

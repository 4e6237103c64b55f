"""Room for the vhost kit: devices of a machine that live in our process. Nothing is here yet.

Planned: the vhost-user protocol, virtqueues in shared guest memory, and on them a vsock device
that needs no kernel module. It will know nothing of images, networks or machines: a device is
given a socket and a memory map.
"""

"""Devices of a machine that live in our process: the other side of vhost-user.

QEMU, or another program that runs a machine, connects to a Unix socket, hands over the machine's
memory and a few event descriptors, and from then on the machine's driver and our device speak
through rings in that memory; QEMU no longer takes part.

`core` is pure: messages, the session, the translation of addresses, virtqueues, and what a
network device makes of them. `runtime` has the socket, the mappings and the event descriptors,
on a loop that is given to it. Neither knows anything of images, networks or machines.
"""

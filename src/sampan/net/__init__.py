"""The network kit: a virtual machine's Ethernet turned into host sockets.

Under construction, and not usable yet. What is here is pure: `wire` (the packets, as values),
`core` (the TCP/IP stack), `services` (DHCP, DNS, time, policy) and the framings of `link`. The
`runtime` that has sockets follows.
"""

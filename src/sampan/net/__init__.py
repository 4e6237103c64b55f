"""The network kit: a virtual machine's Ethernet turned into host sockets.

Under construction. What is here so far is `wire`: the packets, as values. The stack
(`core`), its `services`, the `link`s and the `runtime` follow; none of them exists yet.
"""

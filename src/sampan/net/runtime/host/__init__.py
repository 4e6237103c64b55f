"""The host's side of machines' flows: its sockets, and how its failures are told.

`tcp`, `udp` and `ping` are what flows lead to; `route` says where on the host, `failure` what
an errno means to a machine.
"""

"""What a network offers its machines, joined to the engine and to the host.

The services themselves are pure, in `net.services`; here are their ports, sockets, files and
timers. Each is a class that registers itself with the engine it is given.

    dhcp       addresses, and the file that keeps leases
    name       which machine has which name
    dns        the forwarder: UDP and TCP to machines, sockets to servers outside
    upstream   those sockets
    follow     files of the host that are read again when they change
    ntp        the time
    proxy      connections to ports 80 and 443 by way of the host's proxy
    metadata   HTTP on 169.254.169.254
"""

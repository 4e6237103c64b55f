"""What a network offers its machines, joined to the engine and to the host.

The services themselves are pure, in `net.services`; here are their ports, sockets, files and
timers. Each is a class that registers itself with the engine it is given.

    dhcp       addresses, and the file that keeps leases
    name       which machine has which name
    dns        the forwarder, to machines over UDP and TCP (`dnstalk`)
    upstream   its sockets to servers outside
    source     whom it asks, as the host's files (`follow`) say
    ntp        the time
    proxy      connections to ports 80 and 443 by way of the host's proxy; `proxied` is one of them
    metadata   HTTP on 169.254.169.254, by `httptalk`
"""

"""The control API of a running network: HTTP and JSON on a Unix socket.

    model     what is said, as frozen values: this is the interface
    network   what is asked of a network
    message   requests, responses and streams, without HTTP's framing
    route     one call of the API: method, path, types, handler; and the table of them
    v1        the calls, under /v1/
    gvproxy   the same by the names of gvisor-tap-vsock's API, for programs that call those
    tunnel    connections that become a way to a machine's port, or a link
    door      places where machines connect that are added while the network runs
    vpnkit    what a machine may ask for, by the names of VPNKit's API; `asking` serves it
    metric    the counters as Prometheus reads them
    fault     errors as a status and an object
    openapi   the description of all of it, made from the types
    exchange  HTTP/1.1 by h11, no sockets
    server    the socket, in the network's loop
    client    the other end, blocking

Whoever may use the socket may do all: it belongs to its owner alone. A machine has one of its own,
by which it asks for ports, if it may.
"""

"""Ports of the host that lead to machines: listening sockets, and the table of all of them.

table       add, remove, list: what people and programs ask for
listener    TCP and Unix sockets: each connection becomes a flow to a machine
multiplexed each connection becomes a channel of a stream into a machine (VPNKit's protocol)
junction    a client and its channel
channelled  UDP by channels, one for each peer
line        where that stream comes from
trunk       it, and the session on it
datagram    UDP: each peer gets a port of the gateway, as a NAT does
binding     a bound socket, or an error that says who has the port
owner       which process that is
"""

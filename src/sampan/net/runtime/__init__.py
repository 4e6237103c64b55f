"""What drives the stack: sockets, threads and clocks live here, and nowhere else in `net`.

    engine               one turn of the stack: frames in, events acted upon, frames out
    attach/              links: where a machine's Ethernet comes from
    host/                the other side: sockets of the host, one for each flow
    channel              what a flow leads to: a host's socket, or a service in this process

Everything of one network happens in the thread of its loop (`base.loop`), so nothing here has
locks; others call in by `Loop.submit`. Why a thread with epoll and not asyncio: docs/design/network.md.
"""

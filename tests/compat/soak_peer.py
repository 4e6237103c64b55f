"""Many connections at once, for test_net_soak.py: `short HOST PORT COUNT`, or `hold …`.

`short` opens, uses and closes COUNT connections, 32 at a time. `hold` opens COUNT, says `held`,
and when it is told to go on uses them all again and closes them. Any failure ends it badly.
"""

import resource
import select
import socket
import sys

AT_ONCE = 32


class Crowd:
    """Connections on their way: each says a byte and hears it."""

    def __init__(self, address):
        self._address = address
        self._poll = select.epoll()
        self._open = {}
        self.done = []

    def begin(self):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self._address)
        self._open[connection.fileno()] = connection
        self._poll.register(connection, select.EPOLLOUT)

    def turn(self):
        """Go on with whoever is ready."""
        for number, events in self._poll.poll():
            connection = self._open[number]
            if events & select.EPOLLOUT:
                connection.send(b"x")
                self._poll.modify(connection, select.EPOLLIN)
                continue
            if connection.recv(2) != b"x":
                raise SystemExit("a connection broke")
            self._poll.unregister(connection)
            self.done.append(self._open.pop(number))

    @property
    def size(self):
        return len(self._open)


def short(address, count):
    crowd = Crowd(address)
    begun = 0
    while begun < count or crowd.size:
        while begun < count and crowd.size < AT_ONCE:
            crowd.begin()
            begun += 1
        crowd.turn()
        while crowd.done:
            crowd.done.pop().close()


def hold(address, count):
    crowd = Crowd(address)
    while len(crowd.done) < count:
        while crowd.size < AT_ONCE and crowd.size + len(crowd.done) < count:
            crowd.begin()
        crowd.turn()
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for connection in crowd.done:
        connection.setblocking(True)
        connection.send(b"y")
    for connection in crowd.done:
        if connection.recv(2) != b"y":
            raise SystemExit("a connection broke")
        connection.close()


if __name__ == "__main__":
    what, host, port, wanted = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    {"short": short, "hold": hold}[what]((host, int(port)), int(wanted))

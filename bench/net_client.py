"""The machine's side of bench/net.py: small conversations, counted. Prints one JSON number.

    net_client.py wait HOST PORT                      until a connection succeeds
    net_client.py trips HOST PORT SECONDS HELD        round trips/s on one of HELD open connections
    net_client.py connections HOST PORT SECONDS N     connections/s, N at a time
    net_client.py closed HOST PORT SECONDS N          the same, but the server closes first

A round trip is one byte there and back. A connection is opened, sends one byte, gets one and is
closed. PORT and the PORTS - 1 after it are used in turn, so that TIME_WAIT leaves enough.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time

PORTS = 4


def wait(host: str, port: int) -> float:
    """Seconds until a connection succeeded."""
    begin = time.monotonic()
    while time.monotonic() - begin < 15:
        try:
            socket.create_connection((host, port), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return time.monotonic() - begin
    raise SystemExit(f"no connection to {host} port {port}")


def trips(host: str, port: int, seconds: float, held: int) -> float:
    """Round trips per second on the last of `held` connections."""
    opened = [_first_trip(host, port) for _ in range(held)]
    one = opened[-1]
    one.settimeout(None)
    count = 0
    begin = time.monotonic()
    while (spent := time.monotonic() - begin) < seconds:
        for _ in range(50):
            one.send(b"x")
            one.recv(1)
        count += 50
    for one in opened:
        one.close()
    return count / spent


def _first_trip(host: str, port: int) -> socket.socket:
    one = socket.create_connection((host, port), timeout=10)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.send(b"x")
    one.recv(1)
    return one


def connections(host: str, port: int, seconds: float, parallel: int, *, linger: bool) -> float:
    """Connections per second; `linger`: let the server close first. OSError when one fails."""
    poll = select.epoll()
    open_: dict[int, socket.socket] = {}
    begun = 0

    def begin_one() -> None:
        nonlocal begun
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((host, port + begun % PORTS))
        begun += 1
        open_[one.fileno()] = one
        poll.register(one, select.EPOLLOUT)

    for _ in range(parallel):
        begin_one()
    count = 0
    begin = time.monotonic()
    while (spent := time.monotonic() - begin) < seconds:
        for number, events in poll.poll(1):
            one = open_[number]
            if events & select.EPOLLOUT:
                one.send(b"x")
                poll.modify(one, select.EPOLLIN)
            elif not one.recv(16) or not linger:
                del open_[number]
                one.close()
                count += 1
                begin_one()
    return count / spent


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    name, host, port, *numbers = sys.argv[1:]
    if name == "wait":
        result = wait(host, int(port))
    elif name == "trips":
        result = trips(host, int(port), float(numbers[0]), int(numbers[1]))
    else:
        seconds, parallel = float(numbers[0]), int(numbers[1])
        result = connections(host, int(port), seconds, parallel, linger=name == "closed")
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()

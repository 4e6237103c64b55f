"""Frames and packets as values: what is on the wire, and nothing about what it means.

Each module is one protocol, at two levels: the raw view (offsets and `struct` formats, for
code that fills headers in place) and a frozen value with `parse` and `emit`. What `parse`
accepts is valid as far as one packet can tell; what can be built can be sent:
`parse(value.emit()) == value`. Values that there is one of for each packet are msgspec Structs,
which take a tenth of the time of a frozen dataclass to make; they are never decoded as such.

Pure: no sockets, clocks, threads or randomness. Every parser takes untrusted bytes and
raises nothing but `MalformedError`. Addresses are raw bytes here (4, 6 or 16); text belongs to
people and is made in `address`.
"""

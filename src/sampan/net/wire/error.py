"""The one way a parser refuses bytes."""


class MalformedError(ValueError):
    """The bytes are no packet of this protocol. It costs the packet, never the flow or the peer."""

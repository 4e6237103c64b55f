"""Our caller's faults. A machine's faults are no exceptions: they cost it a frame or a flow."""


class LocalProtocolError(RuntimeError):
    """The runtime asked for what the state of a flow does not allow: a bug in the runtime."""

"""The one way a framing gives up on its peer."""

from sampan.errors import SampanError


class LinkError(SampanError):
    """The peer does not speak the framing: close the link. Nothing it sent after this is used."""

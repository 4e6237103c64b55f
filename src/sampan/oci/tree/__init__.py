"""The file tree of an image: its layers applied one upon another, and the files' contents."""

from sampan.oci.tree.content import Chunk, contents
from sampan.oci.tree.flat import InvalidLayerError, Node, Tree, flatten
from sampan.oci.tree.image import image_tree, layer_index
from sampan.oci.tree.unpack import ExtractError, extract

__all__ = [
    "Chunk",
    "ExtractError",
    "InvalidLayerError",
    "Node",
    "Tree",
    "contents",
    "extract",
    "flatten",
    "image_tree",
    "layer_index",
]

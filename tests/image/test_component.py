from sampan import spec as specs
from sampan.image.component import components
from sampan.oci.model import Platform
from sampan.oci.reference import Reference

YAML = """
kernel: {image: "k:1"}
init: ["base:1", "runc:2"]
volumes: [{name: data, image: "base:1"}, {name: blank}]
onboot: [{name: net, image: "app:1"}]
onshutdown: [{name: bye, image: "app:1"}]
services: [{name: web, image: "app:1"}]
files: [{path: etc/motd, contents: hi}, {path: ./etc//dir, directory: true}]
"""


def test_every_part_in_the_order_of_the_document(add_image, cache):
    names = ("k:1", "base:1", "runc:2", "app:1")
    for name in names:
        add_image(name, {"file": b"x"})
    images = {
        name: cache.image(Reference.parse(name), Platform("amd64")) for name in names
    }  # fmt: skip
    spec = specs.load([specs.Source.text(YAML, "t")])
    assert list(components(spec, images)) == [
        "kernel     k:1",
        "init       base:1",
        "init       runc:2",
        "volume     data base:1",
        "volume     blank",
        "onboot     net app:1",
        "onshutdown bye app:1",
        "service    web app:1",
        "file       /etc/motd",
        "file       /etc/dir",
    ]


def test_nothing():
    assert list(components(specs.load([specs.Source.text("files: []", "t")]), {})) == []

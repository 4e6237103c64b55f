from pathlib import Path

import pytest

from sampan import spec as specs
from sampan.errors import DocumentError, SampanError
from sampan.image.finder import Finder
from sampan.image.gather import Gatherer
from sampan.image.larder import Larder
from sampan.image.store import Store
from sampan.oci.model import ContainerConfig, Platform


@pytest.fixture
def gather(cache, tmp_path):
    def run(text):
        spec = specs.load([specs.Source.text(text, "t")])
        finder = Finder(cache, Platform("amd64"))
        return Gatherer(finder, Larder(cache), Store(tmp_path / "steps")).gather(
            spec, home=Path("/")
        )

    return run


@pytest.fixture
def kernel(add_image, tar_bytes):
    modules = tar_bytes({"lib/": None, "lib/x.ko": b"module"})
    add_image("k:1", {"kernel": b"bz", "kernel.tar": modules, "alt": b"k2", "u.cpio": b"micro"})


@pytest.mark.usefixtures("kernel")
def test_the_kernel_and_its_modules(gather):
    for _ in range(2):  # the second time from the store
        files = gather("kernel: {image: 'k:1', ucode: u.cpio}").kernel
        assert files.binary.path.read_bytes().startswith(b"bz")
        assert files.binary.size == 2
        assert files.ucode.size == 5
        assert [n.entry.name for n in files.modules.tree.nodes] == ["lib", "lib/x.ko"]


@pytest.mark.usefixtures("kernel")
def test_a_damaged_list_of_modules_is_made_again(gather, tmp_path):
    text = "kernel: {image: 'k:1'}"
    modules = gather(text).kernel.modules
    for path in (tmp_path / "steps").iterdir():
        if b"lib/x.ko" in path.read_bytes():
            path.write_bytes(path.read_bytes().replace(b"lib/x.ko", b"\xc1" * 8))
    assert gather(text).kernel.modules.tree == modules.tree


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("tar", ["none", "''"])
def test_other_names_and_no_modules(gather, tar):
    files = gather(f"kernel: {{image: 'k:1', binary: alt, tar: {tar}, ucode: no.cpio}}").kernel
    assert files.binary.path.read_bytes().startswith(b"k2")
    assert files.modules is None
    assert files.ucode is None


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("binary: nope", "did not find kernel 'nope' in k:1"),
        ("tar: no.tar", "did not find kernel tar 'no.tar' in k:1"),
    ],
)
def test_what_the_kernel_image_lacks(gather, keys, message):
    with pytest.raises(SampanError) as caught:
        gather(f"kernel: {{image: 'k:1', {keys}}}")
    assert str(caught.value) == message
    assert caught.value.hint == "at its top there is alt, kernel, kernel.tar, u.cpio"


def test_labels_and_configs(gather, add_image):
    label = {"org.mobyproject.config": '{"net": "new"}'}
    add_image("a:1", {"app": b""}, config=ContainerConfig(cmd=("/app",), labels=label))
    [found] = gather("services: [{name: a, image: 'a:1'}]").images.values()
    assert found.label.net == "new"
    assert found.config.cmd == ("/app",)
    assert found.name == "docker.io/library/a:1"


def test_a_label_that_is_wrong_names_its_image(gather, add_image):
    label = {"org.mobyproject.config": '{"net": 5}'}
    add_image("a:1", {"app": b""}, config=ContainerConfig(labels=label))
    with pytest.raises(DocumentError, match="label of a:1"):
        gather("services: [{name: a, image: 'a:1'}]")


def test_package_lists_of_init_images(gather, add_image):
    for name in ("a", "b"):
        add_image(f"{name}:1", {"lib/apk/db/installed": name.encode()})
    assert gather("init: ['a:1', 'b:1']").installed == (b"a", b"b")
    assert gather("init: ['a:1']").installed == ()


def test_missing_sources_are_told_before_images_are_asked_for(gather):
    with pytest.raises(DocumentError, match="no such file"):
        gather("init: ['no:1']\nfiles: [{path: x, source: /no/x}]")

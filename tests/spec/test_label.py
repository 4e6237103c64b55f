import pytest

from sampan.errors import DocumentError, SampanError
from sampan.spec.label import find_label, format_label, parse_label
from sampan.spec.model import BindNS, ContainerDefaults, Mount, Runtime
from sampan.spec.resource import BlockIO, Resources
from sampan.spec.text import Bind


def test_a_label_as_packages_carry_it():
    text = (
        '{"binds":["/run/resolvconf:/etc"],"capabilities":["CAP_NET_ADMIN"],"env":null,'
        '"runtime":{"bindNS":{"net":"/n"}},"net":"new"}'
    )
    assert parse_label(text, "linuxkit/dhcpcd") == ContainerDefaults(
        binds=(Bind("/run/resolvconf", "/etc"),),
        capabilities=("CAP_NET_ADMIN",),
        runtime=Runtime(bind_ns=BindNS(net="/n")),
        net="new",
    )


def test_keys_as_gos_types_write_them():
    text = '{"resources":{"blockIO":{"weight":10}},"mounts":[{"uidMappings":[]}]}'
    assert parse_label(text, "x") == ContainerDefaults(
        resources=Resources(blockio=BlockIO(weight=10)), mounts=(Mount(uidmappings=()),)
    )


@pytest.mark.parametrize("key", ["name", "image"])
def test_a_label_names_no_container(key):
    with pytest.raises(DocumentError, match=f"unknown key '{key}'"):
        parse_label(f'{{"{key}": "a"}}', "x")


def test_faults_name_the_image():
    with pytest.raises(DocumentError) as caught:
        parse_label(b'{"net": "hots", "uid": true}', "the image a/b:1")
    assert [str(p.where) for p in caught.value.problems] == [
        "the image a/b:1:1:9",
        "the image a/b:1:1:24",
    ]


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b"{", "{" * 1000])
def test_what_is_no_label(text):
    with pytest.raises(SampanError):
        parse_label(text, "x")


def test_the_old_name_is_second():
    old, new = "org.mobylinux.config", "org.mobyproject.config"
    assert find_label({old: "{1}", new: "{2}"}) == "{2}"
    assert find_label({old: "{1}", new: ""}) == "{1}"
    assert find_label({"other": "x"}) is None


def test_a_label_is_read_back_as_it_was_written():
    text = '{"capabilities":["CAP_KILL"],"binds":["/a:/b:ro"],"env":["A=\\u0085é"]}'
    assert format_label(parse_label(text, "x")) == text
    assert format_label(ContainerDefaults()) == "{}"

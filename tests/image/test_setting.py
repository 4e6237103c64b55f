from msgspec import UNSET

from sampan.image.setting import settle
from sampan.spec.model import Container, ContainerDefaults, Mount, Runtime
from sampan.spec.text import Bind

LABEL = ContainerDefaults(
    capabilities=("CAP_SYS_ADMIN",),
    binds=(Bind("/run", "/run"),),
    net="new",
    runtime=Runtime(mkdir=("/a",), mounts=(Mount(destination="/m", type="tmpfs"),)),
)


def container(**keys):
    return Container(name="x", image="x", **keys)


def test_the_label_fills_in_what_the_document_does_not_say():
    settled = settle(container(readonly=True), LABEL)
    assert settled.net == "new"
    assert settled.readonly is True
    assert settled.binds == LABEL.binds


def test_a_list_replaces_and_an_empty_one_clears():
    assert settle(container(binds=()), LABEL).binds == ()
    assert settle(container(capabilities=("CAP_KILL",)), LABEL).capabilities == ("CAP_KILL",)


def test_runtime_merges_key_by_key():
    settled = settle(container(runtime=Runtime(mkdir=("/b",))), LABEL).runtime
    assert settled.mkdir == ("/b",)
    assert settled.mounts == LABEL.runtime.mounts
    assert settled.namespace is UNSET


def test_runtime_of_one_side_only():
    assert settle(container(), LABEL).runtime == LABEL.runtime
    runtime = Runtime(namespace="n")
    assert settle(container(runtime=runtime), ContainerDefaults()).runtime == runtime


def test_add_appends_each_value_once():
    settled = settle(
        container(
            capabilities_add=("CAP_KILL", "CAP_SYS_ADMIN"), binds_add=(Bind("/etc", "/etc"),)
        ),
        LABEL,
    )
    assert settled.capabilities == ("CAP_SYS_ADMIN", "CAP_KILL")
    assert settled.binds == (Bind("/run", "/run"), Bind("/etc", "/etc"))
    assert settled.capabilities_add is UNSET


def test_add_all_works_on_a_label_that_has_some():
    assert settle(container(capabilities_add=("all",)), LABEL).capabilities[-1] == "all"

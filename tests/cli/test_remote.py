from pathlib import Path

import pytest

from sampan.cli.remote import proxy, remote
from sampan.cli.settings import Settings
from sampan.errors import UsageError


def test_flags_become_a_remote():
    settings = Settings(
        Path("/c"),
        certificates=(Path("/ca.pem"),),
        mirrors=("docker.io=http://localhost:5000", "https://example.com"),
        logins=("example.com=me:secret",),
    )
    found = remote(settings, {"HOME": "/h"})
    assert [mirror.host for mirror in found.mirrors] == ["localhost:5000", "example.com"]
    assert found.certificates == (Path("/ca.pem"),)
    assert found.docker_config == Path("/h/.docker/config.json")
    assert [login.user for login in found.logins] == ["me"]
    assert found.proxy == proxy({})


@pytest.mark.parametrize("wrong", [{"mirrors": ("ftp://x",)}, {"logins": ("me",)}])
def test_wrong_forms_are_wrong_usage(wrong):
    with pytest.raises(UsageError):
        remote(Settings(Path("/c"), **wrong), {})


def test_proxies_in_either_case():
    found = proxy({"http_proxy": "http://a", "HTTPS_PROXY": "http://b", "NO_PROXY": "x, .y z"})
    assert (found.http, found.https, found.exempt) == ("http://a", "http://b", ("x", ".y", "z"))


def test_small_letters_win():
    assert proxy({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}).https == "http://a"


def test_a_web_client_cannot_choose_the_proxy():
    assert proxy({"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}).http == ""

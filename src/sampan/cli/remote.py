"""How registries are reached, from the global flags and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sampan.cli.settings import Settings, docker_config
from sampan.oci.remote import Login, Mirror, Proxy, Remote


def remote(settings: Settings, environment: Mapping[str, str] = os.environ) -> Remote:
    """What `settings` and the proxy variables say.

    Raises:
        UsageError: a mirror or a login has a wrong form.
    """
    return Remote(
        mirrors=tuple(map(Mirror.parse, settings.mirrors)),
        certificates=settings.certificates,
        docker_config=docker_config(environment),
        logins=tuple(map(Login.parse, settings.logins)),
        proxy=proxy(environment),
    )


def proxy(environment: Mapping[str, str]) -> Proxy:
    """The proxies of `http_proxy`, `https_proxy` and `no_proxy`, in either case of letters.

    `HTTP_PROXY` in capitals is not believed inside a CGI program, where a client sets it.
    """
    in_cgi = "REQUEST_METHOD" in environment
    names = ("http_proxy",) if in_cgi else ("http_proxy", "HTTP_PROXY")
    exempt = _first(environment, "no_proxy", "NO_PROXY").replace(",", " ").split()
    return Proxy(
        http=_first(environment, *names),
        https=_first(environment, "https_proxy", "HTTPS_PROXY"),
        exempt=tuple(exempt),
    )


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")

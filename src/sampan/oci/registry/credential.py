"""Credentials as Docker keeps them: its `config.json` and its credential helpers.

Knows that file and the helpers' protocol, not what the credentials are used for. Helpers are
programs named `docker-credential-…`; they are asked only when a registry wants a login.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from pathlib import Path

import msgspec

from sampan.base import log, proc
from sampan.errors import SampanError, ToolMissingError
from sampan.oci.reference import DEFAULT_REGISTRY
from sampan.oci.remote import Remote, registry_name

_log = log.get(__name__)
_DOCKER_KEY = "https://index.docker.io/v1/"
_CONFIG_LIMIT = 4 << 20  # bytes
_HELPER_TIMEOUT_S = 60.0
_IS_HELPER = re.compile(r"[A-Za-z0-9_.-]+")
_TOKEN_USER = "<token>"


class Credential(msgspec.Struct, frozen=True):
    """A user with a password, or a token that is good for other tokens (`identity_token`)."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    @property
    def basic(self) -> str:
        """The value of an Authorization header of type Basic."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def __repr__(self) -> str:
        return f"Credential({self.user!r}, …)"


class _Auth(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(msgspec.Struct, frozen=True):
    auths: dict[str, _Auth] = {}
    creds_store: str = msgspec.field(default="", name="credsStore")
    cred_helpers: dict[str, str] = msgspec.field(default_factory=dict, name="credHelpers")


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str = ""
    secret: str = ""


class Keychain:
    """Finds the credential for a registry; each is looked up once. May be used by threads."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._lock = threading.Lock()
        self._found: dict[str, Credential | None] = {}
        self.problem = ""  # why a credential helper could not be asked

    def find(self, registry: str) -> Credential | None:
        """The credential for `registry` (a host, or `docker.io`), None if there is none.

        Explicit logins come first, then the helper that the file names, then the file itself.

        Raises:
            SampanError: the file is damaged; the error names it.
        """
        with self._lock:
            if registry not in self._found:
                self._found[registry] = self._look_up(registry)
            return self._found[registry]

    def _look_up(self, registry: str) -> Credential | None:
        for login in self._remote.logins:
            if login.registry == registry:
                return Credential(login.user, login.password)
        path = self._remote.docker_config
        if path is None or (config := _read(path)) is None:
            return None
        key = _DOCKER_KEY if registry == DEFAULT_REGISTRY else registry
        helper = config.cred_helpers.get(registry, config.cred_helpers.get(key, config.creds_store))
        if helper:
            try:
                found = _ask(helper, key)
            except SampanError as error:
                # an image that is free for all must not fail for want of a helper
                self.problem = f"credential helper {helper!r} failed: {error.message}"
                _log.warning("%s", self.problem)
                found = None
            if found is not None:
                return found
        return _from_file(config, registry, path)


def _read(path: Path) -> _Config | None:
    try:
        with path.open("rb") as stream:
            data = stream.read(_CONFIG_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SampanError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _CONFIG_LIMIT:
        raise SampanError(f"{path} is too large for Docker's configuration")
    try:
        return msgspec.json.decode(data, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SampanError(
            f"{path} is not Docker's configuration: {error}",
            hint="mend it, or move it away and log in again",
        ) from error


def _from_file(config: _Config, registry: str, path: Path) -> Credential | None:
    for name, entry in config.auths.items():
        host = name.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if registry_name(host) == registry:
            found = _decode(entry, name, path)
            if found is not None:
                return found
    return None


def _decode(entry: _Auth, name: str, path: Path) -> Credential | None:
    user, password = entry.username, entry.password
    if entry.auth:
        try:
            pair = base64.b64decode(entry.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        user, colon, password = pair.partition(":")
        if not colon:
            raise SampanError(
                f"{path}: the credentials of {name} are damaged", hint=f"docker login {name}"
            )
        password = password.rstrip("\0")  # some tools pad
    if not (user or entry.identitytoken):
        return None  # an empty entry says that a helper has it
    return Credential(user, password, entry.identitytoken)


def _ask(helper: str, key: str) -> Credential | None:
    """What `docker-credential-HELPER get` says of `key`; None if it knows nothing."""
    if not _IS_HELPER.fullmatch(helper):
        raise SampanError("that is not the name of a helper")
    try:
        done = proc.run(
            [f"docker-credential-{helper}", "get"],
            stdin=key.encode(),
            timeout_s=_HELPER_TIMEOUT_S,
            check=False,
        )
    except ToolMissingError as error:
        raise SampanError(error.message) from error
    except (OSError, TimeoutError) as error:
        raise SampanError(str(error)) from error
    if done.status != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        if "not found" in said:
            return None
        raise SampanError(said.splitlines()[-1] if said else proc.explain_status(done.status))
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SampanError("it answered with something else than a credential") from error
    if answer.username == _TOKEN_USER:
        return Credential(identity_token=answer.secret)
    return Credential(answer.username, answer.secret) if answer.secret else None

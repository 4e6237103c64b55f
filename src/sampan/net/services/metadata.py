"""What a machine can ask about itself at 169.254.169.254, as paths and their contents.

Two conventions, from one frozen value:

    /latest/meta-data/…, /latest/user-data    EC2's tree, also under its dated versions
    /nocloud/meta-data, /nocloud/user-data    cloud-init's NoCloud (`ds=nocloud;s=…/nocloud/`)

A folder is answered with the list of what is in it, a slash behind folders, as EC2 does. Tokens
(IMDSv2) are given to whoever asks, and have to be good if they are shown; nothing needs one.

It may not know HTTP, nor who asks but by an address.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TypeAlias

import msgspec

from sampan.errors import UsageError

MAX_CONTENT = 1 << 19
MAX_TOKEN_S = 21_600
VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|1\.0|latest")
_DIGEST = 16

Tree: TypeAlias = "dict[str, Tree | bytes]"


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who a machine is.

    Attributes:
        instance_id: changes when the machine is another; cloud-init then starts anew.
        hostname: empty: is not told.
        public_keys: lines of `authorized_keys`.
        user_data, vendor_data, network_config: as they are; empty: are not there.
        extra: further contents by their path below `meta-data`, such as
            ("placement/availability-zone", "here").

    Raises:
        UsageError: contents are too large, or a path makes no sense.
    """

    instance_id: str
    hostname: str = ""
    public_keys: tuple[str, ...] = ()
    user_data: bytes = b""
    vendor_data: bytes = b""
    network_config: bytes = b""
    extra: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check it as a whole."""
        size = max(map(len, (self.user_data, self.vendor_data, self.network_config)))
        if size > MAX_CONTENT:
            raise UsageError(f"metadata of {size} bytes; at most {MAX_CONTENT} are served")
        self.tree("")

    def tree(self, address: str) -> Tree:
        """The tree below `meta-data`, for the machine at `address`."""
        tree: Tree = {"instance-id": self.instance_id.encode()}
        if self.hostname:
            tree["hostname"] = tree["local-hostname"] = self.hostname.encode()
        if address:
            tree["local-ipv4"] = address.encode()
        if self.public_keys:
            tree["public-keys"] = {
                str(number): {"openssh-key": key.strip().encode()}
                for number, key in enumerate(self.public_keys)
            }
        for path, content in self.extra:
            _put(tree, path, content.encode())
        return tree


def find(identity: Identity, path: str, address: str) -> bytes | None:
    """What is at `path`, for the machine at `address`; None if there is nothing."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "\n".join(VERSIONS).encode()
    first, *rest = parts
    if first == "nocloud":
        return _nocloud(identity, rest)
    if not _VERSION.fullmatch(first):
        return None
    if not rest:
        return "\n".join(name for name in ("meta-data", *_documents(identity))).encode()
    if rest[0] == "meta-data":
        return _in_tree(identity.tree(address), rest[1:])
    return _documents(identity).get(rest[0]) if len(rest) == 1 else None


class Tokens:
    """Session tokens (IMDSv2) that need no memory: who, until when, and a proof of it.

    Args:
        secret: bytes that nobody else knows.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, machine: bytes, duration_s: int, now: float) -> str:
        """A token for a machine; `duration_s` from 1 to `MAX_TOKEN_S`."""
        until = int(now) + duration_s
        return f"{until:x}-{self._proof(machine, until)}"

    def holds(self, token: str, machine: bytes, now: float) -> bool:
        """Whether a token was issued to this machine and is still good."""
        until, _, proof = token.partition("-")
        if not re.fullmatch(r"[0-9a-f]{1,12}", until) or int(until, 16) < now:
            return False
        expected = self._proof(machine, int(until, 16))
        return hmac.compare_digest(proof.encode("utf-8", "replace"), expected.encode())

    def _proof(self, machine: bytes, until: int) -> str:
        message = machine + until.to_bytes(8, "big")
        return hashlib.blake2b(message, key=self._secret, digest_size=_DIGEST).hexdigest()


def _documents(identity: Identity) -> dict[str, bytes]:
    found = {"user-data": identity.user_data, "vendor-data": identity.vendor_data}
    return {name: content for name, content in found.items() if content}


def _nocloud(identity: Identity, rest: list[str]) -> bytes | None:
    """NoCloud wants meta-data and user-data to be there, empty or not."""
    match rest:
        case ["meta-data"]:
            told = {"instance-id": identity.instance_id}
            if identity.hostname:
                told["local-hostname"] = identity.hostname
            keys = {"public-keys": identity.public_keys} if identity.public_keys else {}
            return msgspec.json.encode({**told, **keys}) + b"\n"  # JSON is YAML, which it reads
        case ["user-data"]:
            return identity.user_data
        case ["vendor-data"]:
            return identity.vendor_data or None
        case ["network-config"]:
            return identity.network_config or None
        case _:
            return None


def _in_tree(tree: Tree, parts: list[str]) -> bytes | None:
    found: Tree | bytes | None = tree
    for part in parts:
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return found
    if parts == ["public-keys"]:
        return "\n".join(f"{number}=key-{number}" for number in found).encode()
    return "\n".join(
        f"{name}/" if isinstance(content, dict) else name for name, content in sorted(found.items())
    ).encode()


def _put(tree: Tree, path: str, content: bytes) -> None:
    *folders, name = path.strip("/").split("/")
    for folder in folders:
        below = tree.setdefault(folder, {})
        if not folder or not isinstance(below, dict):
            raise UsageError(f"there can be no metadata at {path!r}")
        tree = below
    if not name or isinstance(tree.get(name), dict) or len(content) > MAX_CONTENT:
        raise UsageError(f"there can be no metadata at {path!r}")
    tree[name] = content

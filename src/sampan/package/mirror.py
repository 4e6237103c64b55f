"""Where Debian packages come from: the archives that the host's own apt sources name.

Reads one-line (`sources.list`) and deb822 (`*.sources`) files and picks the Debian archive
and its security archive. Sampan itself names no mirror. Choosing a wrong one is harmless:
every archive's signature is checked against Debian's keyring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sampan.errors import SampanError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ROLLING = ("sid", "unstable", "experimental")  # suites without updates and security
_SUITE = re.compile(
    r"(?:oldold|old)?stable|testing|unstable|sid|experimental"
    r"|buster|bullseye|bookworm|trixie|forky|duke"
)
_OPTION = re.compile(r"\[([^\]]*)\]\s*")


class MirrorError(SampanError):
    """No Debian archive is known, or the keyring that its signature needs is missing."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive as an apt source names it. `suites` are as written (`trixie-security`)."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True, slots=True)
class Mirror:
    """The two archives that a Debian release lives in."""

    main: str
    security: str


def parse_one_line(text: str) -> Iterator[Archive]:
    """The binary archives of a `sources.list` (sources.list(5), one-line style)."""
    for line in text.splitlines():
        words = line.partition("#")[0].strip()
        if not words.startswith("deb ") and not words.startswith("deb\t"):
            continue
        rest = words[3:].strip()
        options = _OPTION.match(rest)
        signed_by = ""
        if options:
            rest = rest[options.end() :]
            pairs = dict(word.partition("=")[::2] for word in options[1].split())
            signed_by = pairs.get("signed-by", "")
        fields = rest.split()
        if len(fields) >= 2:
            yield Archive(fields[0], (fields[1],), tuple(fields[2:]), signed_by)


def parse_deb822(text: str) -> Iterator[Archive]:
    """The binary archives of a `*.sources` file (sources.list(5), deb822 style)."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _stanza_fields(stanza)
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        suites = tuple(fields.get("suites", "").split())
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            yield Archive(uri, suites, components, fields.get("signed-by", "").strip())


def _stanza_fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += "\n" + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower() if colon else ""
        if name:
            fields[name] = value.strip()
    return fields


def host_archives(etc: Path = Path("/etc/apt")) -> list[Archive]:
    """Every binary archive that the host's apt uses, in the order of its files."""
    found: list[Archive] = []
    parts = etc / "sources.list.d"
    files = [etc / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found += parse_deb822(text) if file.suffix == ".sources" else parse_one_line(text)
    return found


def choose(archives: Iterable[Archive], *, mirror: str = "", security: str = "") -> Mirror:
    """The archives to use: what was asked for, else the likeliest of the host's.

    With only `mirror` given, the security archive is its neighbour of the usual name
    (`…/debian` → `…/debian-security`).

    Raises:
        MirrorError: the host names no Debian archive and none was asked for.
    """
    known = list(archives)
    main = mirror or _likeliest(known, security=False)
    if not main:
        raise MirrorError(
            "the host's apt sources name no Debian archive",
            hint="name a mirror: --debian-mirror URL, or SAMPAN_DEBIAN_MIRROR=URL",
        )
    found = security or ("" if mirror else _likeliest(known, security=True))
    return Mirror(main.rstrip("/"), (found or f"{main.rstrip('/')}-security").rstrip("/"))


def _likeliest(archives: Iterable[Archive], *, security: bool) -> str:
    best, best_score = "", 0
    for archive in archives:
        score = _likelihood(archive, security=security)
        if score > best_score:
            best, best_score = archive.uri, score
    return best


def _likelihood(archive: Archive, *, security: bool) -> int:
    """How surely that is Debian's archive (or its security one); 0 when it cannot be."""
    tails = [_SUITE.match(suite) for suite in archive.suites]
    rests = {match.string[match.end() :].strip("/") for match in tails if match is not None}
    wanted = {"-security", "/updates"} if security else {"", "-updates"}
    if not rests & wanted or "main" not in archive.components or archive.uri.startswith("cdrom:"):
        return 0
    named = archive.uri.rstrip("/").endswith("debian-security" if security else "debian")
    return 1 + 2 * ("debian-archive" in archive.signed_by) + named


def source_list(mirror: Mirror, suite: str, *, keyring: Path = KEYRING) -> str:
    """The deb822 text of an apt source for `suite`, its updates and its security archive.

    Raises:
        MirrorError: Debian's archive keyring is not on this host.
    """
    if not keyring.is_file():
        raise MirrorError(
            f"{keyring} is missing: packages' signatures cannot be checked",
            hint="install it: apt install debian-archive-keyring",
        )
    rolling = suite in _ROLLING
    stanzas = [(mirror.main, suite if rolling else f"{suite} {suite}-updates")]
    if not rolling:
        stanzas.append((mirror.security, f"{suite}-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
        for uri, suites in stanzas
    )

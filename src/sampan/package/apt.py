"""The host's `apt` in a private root: solve, fetch and verify Debian packages of any suite.

Each suite, architecture and mirror has its own folder of lists and state; downloaded `.deb`
files are shared. Nothing of the host's package database is read or touched, no root rights
are needed, and signatures are always checked. What is inside a package is not known here.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from sampan.base import fs, log, proc
from sampan.base.clock import Clock, SystemClock
from sampan.base.progress import SILENT, Progress, check, task
from sampan.errors import SampanError, ToolMissingError
from sampan.package import space
from sampan.package.space import NoSpaceError
from sampan.package.watchdog import StuckError, Watchdog

_log = log.get(__name__)
LISTS_MAX_AGE_S = 24 * 3600.0
LISTS_ROOM = 160 << 20
"""Bytes that the lists of a suite take with apt's own index of them (trixie: 141 MiB)."""
_HOST_SETTING = re.compile(r"Acquire::(?:https?|ftp|tor|Retries|ForceIPv[46])\b.*", re.IGNORECASE)
_URI_LINE = re.compile(r"'(?P<uri>[^']*)' (?P<file>\S+) (?P<size>\d+) ?(?P<sum>\S*)")
_MISSING = re.compile(
    r"E: (?:Unable to locate package|Package '?)(?: )?(?P<name>[^\s']+)(?:' has no installation)?"
)


class AptError(SampanError):
    """apt could not do it: archive unreachable, package unknown, dependencies that cannot be."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of a solved set: exactly one `.deb`."""

    name: str
    version: str
    architecture: str

    @property
    def pinned(self) -> str:
        """As apt's command line takes it."""
        return f"{self.name}={self.version}"


@dataclass(frozen=True, slots=True)
class Download:
    """A `.deb` to have: its file name, size in bytes, SHA-256 and where it comes from."""

    file: str
    size: int
    sha256: str
    uri: str


class AptRoot:
    """A private apt root below `folder` (shared between processes) for one architecture."""

    def __init__(self, folder: Path, *, suite: str, architecture: str, sources: str) -> None:
        """`sources` is the deb822 text of `sampan.package.mirror.source_list`."""
        identity = hashlib.sha256(sources.encode()).hexdigest()[:10]
        self.suite = suite
        self.architecture = architecture
        self.root = folder.absolute() / f"{suite}-{architecture}-{identity}"
        self.archives = folder.absolute() / "archives"
        self._sources = sources
        self._config = self.root / "apt.conf"

    def refresh(
        self,
        *,
        max_age_s: float = LISTS_MAX_AGE_S,
        offline: bool = False,
        clock: Clock | None = None,
        progress: Progress = SILENT,
    ) -> None:
        """Have package lists that are not older than `max_age_s`.

        Old lists are used, with a note, when the archive cannot be reached, and without a
        word when `offline`.

        Raises:
            AptError: there are no lists and none can be fetched.
            NoSpaceError, StuckError: as before, because the disk is full, or nothing comes.
            ToolMissingError: the host has no apt.
        """
        _require_apt()
        now_s = (clock or SystemClock()).wall_s()
        with fs.locked(self.root / "lock", wait=partial(check, progress)):
            self._lay_out()
            stamp = self.root / "refreshed"
            age_s = now_s - float(stamp.read_text()) if stamp.exists() else None
            if age_s is not None and (offline or 0 <= age_s < max_age_s):
                return
            if offline:
                raise AptError(
                    f"no package lists of {self.suite} for {self.architecture} are cached",
                    hint="build once with the network",
                )
            try:
                self._update(progress)
            except (AptError, NoSpaceError, StuckError) as error:
                if age_s is None:
                    raise
                progress.note(f"{error}; the lists of {age_s / 3600:.0f} h ago are used")
                return
            fs.write_atomically(stamp, repr(now_s).encode())

    def _update(self, progress: Progress) -> None:
        """Fetch the lists; what came of them is removed when not all do."""
        space.require(self.root, LISTS_ROOM, f"package lists of {self.suite}")
        partial = self.root / "state/lists/partial"
        try:
            with task(progress, f"package lists of {self.suite} for {self.architecture}") as bar:
                dog = Watchdog([self.root], bar)
                self._apt("apt-get", "-o", "APT::Update::Error-Mode=any", "update", watch=dog)
        except proc.ChildError as error:
            self._check_space(error)
            raise AptError(
                f"the Debian archive is not usable: {_reasons(error)}",
                hint=f"its sources: {self.root / 'etc/sources/debian.sources'}",
            ) from error
        finally:
            for path in partial.iterdir():
                path.unlink()

    def solve(
        self, names: Sequence[str], *, depends: bool = True, progress: Progress = SILENT
    ) -> tuple[Package, ...]:
        """The packages that installing `names` into nothing takes, sorted by name.

        With `depends` off, only `names` themselves, in their newest version.

        Raises:
            AptError: a package is unknown, or their dependencies cannot be met.
        """
        if not names:
            return ()
        verb = "install" if depends else "download"
        with (
            fs.locked(self.root / "lock", wait=partial(check, progress)),
            task(progress, "choose Debian packages") as bar,
        ):
            try:
                dog = Watchdog([self.root], bar)
                done = self._apt("apt-get", verb, "--print-uris", "-qq", *names, watch=dog)
            except proc.ChildError as error:
                self._check_space(error)
                raise self._explain(error, names) from error
        found = {_package_of(match["file"]) for match in _uri_lines(done.stdout)}
        return tuple(sorted(found, key=lambda package: (package.name, package.architecture)))

    def fetch(
        self, packages: Sequence[Package], *, progress: Progress = SILENT
    ) -> tuple[Download, ...]:
        """Have the `.deb` of each package in `archives`, each checked against its SHA-256.

        Raises:
            AptError: a file cannot be fetched.
            NoSpaceError: there is no room for them.
        """
        if not packages:
            return ()
        pins = [package.pinned for package in packages]
        with fs.locked(self.root / "lock", wait=partial(check, progress)):
            done = self._apt("apt-get", "download", "--print-uris", "-qq", *pins)
        downloads = sorted(
            (
                Download(match["file"], int(match["size"]), _sha256(match["sum"]), match["uri"])
                for match in _uri_lines(done.stdout)
            ),
            key=lambda item: item.file,
        )
        self.archives.mkdir(parents=True, exist_ok=True)
        with fs.locked(self.archives / "lock", wait=partial(check, progress)):
            missing = [item for item in downloads if not self._have(item)]
            if missing:
                self._download(missing, progress)
        return tuple(downloads)

    def _download(self, missing: Sequence[Download], progress: Progress) -> None:
        total = sum(item.size for item in missing)
        for left in self.archives.glob(f"{fs.TEMPORARY_PREFIX}*"):  # by a killed process
            shutil.rmtree(left)
        space.require(self.archives, total, f"{len(missing)} Debian packages")
        with (
            task(progress, f"{len(missing)} Debian packages", total) as bar,
            tempfile.TemporaryDirectory(dir=self.archives, prefix=fs.TEMPORARY_PREFIX) as name,
        ):
            room = Path(name)
            try:
                pins = [_package_of(item.file).pinned for item in missing]
                dog = Watchdog([room], bar)
                self._apt("apt-get", "download", "-qq", *pins, cwd=room, watch=dog)
            except proc.ChildError as error:
                self._check_space(error)
                raise AptError(f"packages cannot be fetched: {_reasons(error)}") from error
            for item in missing:
                (room / item.file).replace(self.archives / item.file)
                if not self._have(item):
                    raise AptError(f"{item.file} is not what the package list says")
            bar.advance(max(0, total - dog.reported))

    def _have(self, item: Download) -> bool:
        path = self.archives / item.file
        if not path.is_file() or path.stat().st_size != item.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == item.sha256

    def _lay_out(self) -> None:
        for name in ("state/lists/partial", "cache", "etc/sources", "etc/empty"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "state/status").touch()
        source = self.root / "etc/sources/debian.sources"
        fs.write_atomically(source, self._sources.encode(), durable=False)
        settings = _root_settings(self.root, self.architecture) + _host_settings()
        fs.write_atomically(self._config, "".join(settings).encode(), durable=False)

    def _apt(
        self, *argv: str, cwd: Path | None = None, watch: proc.Watch | None = None
    ) -> proc.Completed:
        environment = {"APT_CONFIG": str(self._config), "LC_ALL": "C"}
        return proc.run(argv, env=environment, cwd=cwd, watch=watch)

    def _check_space(self, error: proc.ChildError) -> None:
        """Raises NoSpaceError: that was the reason why apt failed."""
        said = error.done.stderr.decode(errors="replace")
        if space.means_full(said) or space.is_full(self.root):
            raise NoSpaceError(self.root, "the disk is full") from error

    def _explain(self, error: proc.ChildError, names: Sequence[str]) -> AptError:
        text = error.done.stderr.decode(errors="replace")
        unknown = [match["name"] for match in _MISSING.finditer(text) if match["name"] in names]
        if not unknown:
            return AptError(f"{', '.join(names)} cannot be installed together: {_reasons(error)}")
        name = unknown[0]
        known = self._apt("apt-cache", "pkgnames", name[:2]).stdout.decode().split()
        close = difflib.get_close_matches(name, known, n=1)
        return AptError(
            f"Debian {self.suite} for {self.architecture} has no package {', '.join(unknown)}",
            hint=f"did you mean {close[0]}?" if close else None,
        )


def _require_apt() -> None:
    if not proc.has_tool("apt-get"):
        raise ToolMissingError(
            "apt-get is not installed: packages with a `debian:` section are made with apt",
            hint="build on a Debian or Ubuntu host or in such a container, or pull the images",
        )


def _root_settings(root: Path, architecture: str) -> list[str]:
    empty = root / "etc/empty"
    settings = {
        "Dir": root,
        "Dir::State": root / "state",
        "Dir::State::status": root / "state/status",
        "Dir::Cache": root / "cache",
        "Dir::Log": root / "state",
        "Dir::Etc": root / "etc",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": root / "etc/sources",
        "Dir::Etc::parts": empty,
        "Dir::Etc::preferencesparts": empty,
        "Dir::Etc::trustedparts": empty,
        "Dir::Etc::netrc": "/etc/apt/auth.conf",  # the host's passwords for its mirrors
        "Dir::Etc::netrcparts": "/etc/apt/auth.conf.d",
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        "APT::Install-Suggests": "false",
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",  # as root too: the user `_apt` cannot write in our cache
    }
    lines = [f'{name} "{value}";\n' for name, value in settings.items()]
    return [*lines, f'APT::Architectures {{ "{architecture}"; }};\n']


def _host_settings() -> list[str]:
    """The host's proxies, time-outs and retries, which its mirror may need."""
    dump = proc.run(["apt-config", "dump"]).stdout.decode(errors="replace")
    return [f"{line}\n" for line in dump.splitlines() if _HOST_SETTING.fullmatch(line)]


def _uri_lines(output: bytes) -> Iterable[re.Match[str]]:
    lines = output.decode(errors="replace").splitlines()
    return [match for line in lines if (match := _URI_LINE.fullmatch(line.strip()))]


def _package_of(file: str) -> Package:
    """The package in a file that apt names `NAME_VERSION_ARCHITECTURE.deb`, `%3a` for `:`."""
    name, version, architecture = unquote(file.removesuffix(".deb")).split("_")
    return Package(name, version, architecture)


def _sha256(checksum: str) -> str:
    kind, _, value = checksum.partition(":")
    if kind != "SHA256" or len(value) != 64:
        raise AptError(f"the package list has no SHA-256, but {checksum!r}")
    return value


def _reasons(error: proc.ChildError) -> str:
    """The first thing that apt complained about, and how many more there were."""
    lines = error.done.stderr.decode(errors="replace").splitlines()
    said = [line[3:].strip() for line in lines if line.startswith("E: ")]
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return f"{said[0]}{more}" if said else str(error)

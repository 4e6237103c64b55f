"""Images by the names that a specification uses: from the catalog, the cache, a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from sampan.base.progress import SILENT, Progress, Stoppable
from sampan.errors import SampanError
from sampan.oci.layout import Cache, Image
from sampan.oci.model import Platform
from sampan.oci.reference import Reference
from sampan.package import catalog

if TYPE_CHECKING:
    from sampan.package.build import Options

Fetch: TypeAlias = Callable[[Reference, Progress], object]
"""Brings an image into the cache and reports, or raises SampanError."""
Packages: TypeAlias = Callable[[], "Options"]
"""Says how packages are built; asked only when there is one, for it is slow to import."""

_PULLS = 4


class Finder:
    """Finds images for one platform.

    `sampan/NAME` is built from the catalog unless it is in the cache as it is now. Others are
    taken from the cache; `fetch` brings what is not there, and with `pull` all of them anew.
    `packages` says how those of the catalog are built.
    """

    def __init__(
        self,
        cache: Cache,
        platform: Platform,
        *,
        fetch: Fetch | None = None,
        pull: bool = False,
        packages: Packages | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._cache = cache
        self._platform = platform
        self._fetch = fetch
        self._pull = pull
        self._packages = packages
        self._progress = Stoppable(progress)

    def find(self, wanted: Iterable[tuple[str, str]]) -> dict[str, Image]:
        """The images of `wanted`, pairs of a place in the document and a name; by name.

        Raises:
            SampanError: a name is none, or the image is nowhere to be had; says which place.
        """
        places: dict[str, str] = {}
        for place, name in wanted:
            places.setdefault(name, place)
        slow = [name for name, place in places.items() if self._takes_long(name, place)]
        if len(slow) < 2:
            return {name: self._one(name, place) for name, place in places.items()}
        from sampan.base.crew import in_parallel  # slow to import, and seldom needed

        found: dict[str, Image] = {}

        def work(name: str) -> None:
            found[name] = self._one(name, places[name])

        in_parallel(work, slow, count=_PULLS, stop=self._progress.stop)
        return {name: found.get(name) or self._one(name, place) for name, place in places.items()}

    def _takes_long(self, name: str, place: str) -> bool:
        with _at(place):
            reference = Reference.parse(name)
        if catalog.find(reference) is not None:
            return True
        return self._fetch is not None and (self._pull or not self._has(reference))

    def _one(self, name: str, place: str) -> Image:
        with _at(place):
            return self._image(Reference.parse(name))

    def _image(self, reference: Reference) -> Image:
        if catalog.find(reference) is not None:
            from sampan.package import build  # most specifications build nothing

            options = self._packages() if self._packages else None
            built = build.build_from_catalog(
                reference, self._cache, self._platform, options, self._progress
            )
            if built is not None:
                return self._cache.image(built, self._platform)
        if self._fetch is not None and (self._pull or not self._has(reference)):
            self._fetch(reference, self._progress)
        return self._cache.image(reference, self._platform)

    def _has(self, reference: Reference) -> bool:
        found = self._cache.find(reference)
        if found is None or not self._cache.is_whole(found):
            return False
        try:
            self._cache.image(reference, self._platform)
        except SampanError:
            return False  # not for this platform, or damaged: both are cured by fetching
        return True


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Errors of the block say for which place of the document they are."""
    try:
        yield
    except SampanError as error:
        error.message = f"{place}: {error.message}"
        error.path = place
        raise

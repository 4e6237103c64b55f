"""Volumes and containers in the image: `/containers/…` (linuxkit.md 2.7).

Pure. The files of an image that several containers run are there once, at the first of them.
A read-only volume gets no `tmp` folder, which is how the guest knows it.
"""

from __future__ import annotations

from sampan.base.entry import Kind
from sampan.image import idmap, runtime
from sampan.image.overlay import Draft
from sampan.image.runtime import Context, Place
from sampan.image.scene import Scene
from sampan.image.setting import settle
from sampan.image.step import Supplies
from sampan.spec.model import Container, Spec, Volume

_VOLUMES = "containers/volumes"


def place_volumes(scene: Scene, spec: Spec, supplies: Supplies) -> None:
    """Put every volume at `/containers/volumes/NAME`."""
    for index, volume in enumerate(spec.volumes):
        folder = f"{_VOLUMES}/{volume.name}"
        lower = f"{folder}/lower"
        scene.folder(lower)
        scene.folder(f"{folder}/merged")
        if volume.readonly is not True:
            scene.folder(f"{folder}/tmp")
        _fill_volume(scene, volume, f"volume[{index}]", lower, supplies)


def _fill_volume(scene: Scene, volume: Volume, name: str, lower: str, supplies: Supplies) -> None:
    if volume.name in supplies.volumes:
        for made in supplies.volumes[volume.name]:
            scene.put(made.entry, made.content)
    elif volume.image:
        scene.tree(Draft(name, supplies.images[volume.image], lower))
        scene.touch_up(lower, resolver=True)


def place_containers(scene: Scene, spec: Spec, supplies: Supplies) -> None:
    """Put every container at its place, with its config.json and runtime.json.

    Raises:
        DocumentError: a container has nothing to run, or its label a bind that cannot be.
    """
    ids = idmap.allot(spec)
    volumes = {volume.name: volume for volume in spec.volumes}
    lowers: dict[str, str] = {}
    for section, index, container in spec.containers():
        context = Context(f"{section}[{index}]", ids, volumes)
        name = container.name if section == "services" else f"{index:03d}-{container.name}"
        _place(scene, f"containers/{section}/{name}", container, context, supplies, lowers)


def _place(
    scene: Scene,
    folder: str,
    container: Container,
    context: Context,
    supplies: Supplies,
    lowers: dict[str, str],
) -> None:
    ingredient = supplies.images[container.image]
    settings = settle(container, ingredient.label)
    readonly = settings.readonly is True
    if ingredient.name not in lowers:
        lower = f"{folder}/{'rootfs' if readonly else 'lower'}"
        lowers[ingredient.name] = lower
        scene.tree(Draft(context.path, ingredient, lower))
        scene.touch_up(lower, resolver=False)
    if not readonly:
        scene.folder(f"{folder}/tmp")
    if not scene.has(f"{folder}/rootfs"):
        scene.folder(f"{folder}/rootfs")
    place = Place(f"/{folder}", f"/{lowers[ingredient.name]}")
    config = runtime.config_json(settings, ingredient.config, context)
    scene.file(f"{folder}/config.json", config)
    scene.file(f"{folder}/runtime.json", runtime.runtime_json(settings, place))


def place_installed(scene: Scene, supplies: Supplies) -> None:
    """Join the package lists of the init images, so that scanners see all packages."""
    if len(supplies.installed) > 1:
        content = b"".join(one + b"\n\n" for one in supplies.installed)
        entry = scene.entry("lib/apk/db/installed", Kind.FILE, 0o644, size=len(content))
        scene.put(type(entry)(entry.name, entry.kind, entry.mode, size=entry.size), content)

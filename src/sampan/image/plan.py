"""Spec and supplies → a plan: the steps whose outputs together are the system.

Pure: nothing is read, nothing is written, no clock. Everything that determines the bytes of a
step goes into its `id`, so that `assemble` can take a finished step from the cache.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.image import idmap
from sampan.image.container import place_containers, place_installed, place_volumes
from sampan.image.files import place_files
from sampan.image.listing import SHARED_FROM, file_key
from sampan.image.overlay import Draft
from sampan.image.scene import Scene
from sampan.image.step import (
    FIXED_MTIME_S,
    FileKey,
    HostFile,
    KernelFiles,
    Made,
    MadeStep,
    Plan,
    Step,
    Supplies,
    TreeStep,
)
from sampan.spec.model import Spec

_REVISION = "1"  # counts up when the same step would give other bytes
_LARGE = 1 << 20  # a file of the host from this size on is a step of its own
SBOM_NAME = "sbom.spdx.json"


def make_plan(
    spec: Spec,
    supplies: Supplies,
    *,
    mtime_s: int = FIXED_MTIME_S,
    sbom_name: str = SBOM_NAME,
) -> Plan:
    """What to write for `spec`.

    `mtime_s` is the time of all that no image brings, `sbom_name` where the SBOM goes.

    Raises:
        DocumentError: the specification and the images do not fit together.
    """
    scene = Scene(mtime_s=mtime_s)
    _place_root(scene, spec, supplies)
    place_volumes(scene, spec, supplies)
    place_containers(scene, spec, supplies)
    place_files(scene, spec, supplies, ids=idmap.allot(spec))
    if supplies.sbom is not None:
        scene.file(sbom_name, supplies.sbom)
    drafts = [*scene.root, *scene.placed.values()]
    steps: list[Step] = [
        *_made_steps("frame", scene.frame.values()),
        *_tree_steps(drafts),
        *_made_steps("made", scene.made.values()),
    ]
    return Plan(tuple(steps), supplies.kernel, spec.kernel.cmdline or "")


def _place_root(scene: Scene, spec: Spec, supplies: Supplies) -> None:
    if supplies.kernel is not None and supplies.kernel.modules is not None:
        scene.root.append(Draft("kernel", supplies.kernel.modules, ""))
    for index, name in enumerate(spec.init):
        scene.root.append(Draft(f"init[{index}]", supplies.images[name], ""))
    scene.settle_root()
    if supplies.kernel is not None:
        _place_boot(scene, spec, supplies.kernel)
    if spec.init:
        scene.touch_up("", resolver=True)
        place_installed(scene, supplies)


def _place_boot(scene: Scene, spec: Spec, kernel: KernelFiles) -> None:
    scene.folder("boot")
    scene.file("boot/cmdline", (spec.kernel.cmdline or "").encode())
    files = [("boot/kernel", kernel.binary, kernel.mode), ("boot/ucode.cpio", kernel.ucode, 0o644)]
    for name, file, mode in files:
        if file is not None:
            scene.put(scene.entry(name, Kind.FILE, mode, size=file.size), file)


def _made_steps(name: str, entries: Iterable[Made]) -> list[MadeStep]:
    """One step for all entries, and one for each large file of the host."""
    small: list[Made] = []
    large: list[Made] = []
    for made in sorted(entries, key=lambda made: made.entry.name):
        big = isinstance(made.content, HostFile) and made.content.size >= _LARGE
        (large if big else small).append(made)
    groups = [tuple(small), *((made,) for made in large)]
    return [MadeStep(name, group, _made_id(group)) for group in groups if group]


def _made_id(entries: tuple[Made, ...]) -> str:
    facts = [
        (made.entry, made.content.digest if isinstance(made.content, HostFile) else made.content)
        for made in entries
    ]
    return _hash("made", facts)


def _tree_steps(drafts: list[Draft]) -> list[TreeStep]:
    keys = [_keys(draft) for draft in drafts]
    count = Counter(key for found in keys for key in found)
    repeated = frozenset(key for key, number in count.items() if number > 1)
    stored: set[FileKey] = set()
    steps = []
    for draft, found in zip(drafts, keys, strict=True):
        shared = repeated.intersection(found)
        steps.append(_tree_step(draft, shared, frozenset(shared & stored)))
        stored |= shared
    return steps


def _keys(draft: Draft) -> list[FileKey]:
    return [
        file_key(node)
        for name, node in draft.nodes.items()
        if node.entry.size >= SHARED_FROM and name not in draft.drop
    ]


def _tree_step(draft: Draft, shared: frozenset[FileKey], stored: frozenset[FileKey]) -> TreeStep:
    become: list[tuple[str, Entry]] = sorted(draft.become.items())
    move = sorted(draft.move.items())
    facts = [
        draft.ingredient.identity, draft.prefix, sorted(draft.drop), become, move,
        list(draft.before.values()), sorted(shared), sorted(stored),
    ]  # fmt: skip
    return TreeStep(
        name=draft.name,
        ingredient=draft.ingredient,
        prefix=draft.prefix,
        drop=frozenset(draft.drop),
        become=dict(become),
        move=dict(move),
        before=tuple(draft.before.values()),
        shared=shared,
        stored=stored,
        id=_hash("tree", facts),
    )


def _hash(kind: str, facts: object) -> str:
    packed = msgspec.msgpack.encode((_REVISION, kind, facts))
    return hashlib.sha256(packed).hexdigest()

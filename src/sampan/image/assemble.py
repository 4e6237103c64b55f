"""A plan → the bytes of an initrd or of a tar archive.

The initrd is a row of pieces, one for each step, each compressed alone and kept in the store:
what did not change is copied. Contents stream from the layers through the compressor, which
works in threads of its own; nothing is held whole in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from sampan.base.progress import SILENT, Progress, Task, task
from sampan.errors import SampanError
from sampan.formats import codec, cpio
from sampan.formats.codec import Compression
from sampan.image import piece
from sampan.image.larder import Larder
from sampan.image.listing import list_step
from sampan.image.piece import Record
from sampan.image.pour import chunks_of
from sampan.image.step import Made, MadeStep, Plan, Step, TreeStep
from sampan.image.store import Store
from sampan.oci import tar
from sampan.oci.tree import Chunk, Node

_BATCH = 1 << 18  # bytes that go into the compressor at a time
_SHOWN_FROM = 4 << 20  # bytes of a step that is worth a line of progress
_KEPT_FROM = 1 << 16  # smaller pieces are made faster than found


class Assembler:
    """Writes plans. `store` keeps finished pieces, `larder` has the contents."""

    def __init__(self, store: Store, larder: Larder, progress: Progress = SILENT) -> None:
        self._store = store
        self._larder = larder
        self._progress = progress

    def write_initrd(self, plan: Plan, compression: Compression, target: IO[bytes]) -> None:
        """Append the initrd of `plan` to `target`, a file of the operating system.

        Raises:
            SampanError: contents are missing or damaged, or do not fit into cpio.
        """
        if plan.kernel is not None and plan.kernel.ucode is not None:
            ucode = plan.kernel.ucode
            target.writelines(chunks_of(ucode))
            target.write(cpio.padding(ucode.size))
        for step in plan.steps:
            self._add_piece(step, compression, target)
        self._compress([Record(cpio.trailer(0))], iter(()), compression, target)

    def write_tar(self, plan: Plan, target: IO[bytes], extra: Iterable[Made] = ()) -> None:
        """Append all of `plan`, then `extra`, to `target` as a tar archive.

        Raises:
            SampanError: contents are missing or damaged.
        """
        with tar.Writer(target, folder_slash=False) as writer:
            for step in plan.steps:
                if isinstance(step, MadeStep):
                    for made in step.entries:
                        writer.add(made.entry, chunks_of(made.content))
                else:
                    self._add_tree(step, writer)
            for made in extra:
                writer.add(made.entry, chunks_of(made.content))

    def _add_piece(self, step: Step, compression: Compression, target: IO[bytes]) -> None:
        path = self._store.path(step.id, piece.REVISION, codec.identity(compression))
        if self._copy(path, target):
            return
        records = piece.records_of(step)
        if not records:
            return
        if piece.length_of(records) < _KEPT_FROM:
            self._compress(records, self._contents(step, records), compression, target)
            return
        with self._task(step, piece.length_of(records)) as under_way:
            contents = self._contents(step, records)
            self._store.make(
                path, lambda out: self._compress(records, contents, compression, out, under_way)
            )
        if not self._copy(path, target):
            raise SampanError(f"{path} was removed while it was used", hint="build again")

    def _copy(self, path: Path, target: IO[bytes]) -> bool:
        with self._store.open(path) as found:
            if found is not None:
                found.copy_to(target)
            return found is not None

    def _contents(
        self, step: Step, records: Iterable[Record]
    ) -> Iterator[tuple[Node, Iterator[Chunk]]]:
        nodes = [one.source for one in records if isinstance(one.source, Node)]
        if not nodes or isinstance(step, MadeStep):
            return iter(())
        return self._larder.contents(step.ingredient, nodes)

    def _compress(
        self,
        records: Iterable[Record],
        contents: Iterator[tuple[Node, Iterator[Chunk]]],
        compression: Compression,
        target: IO[bytes],
        under_way: Task | None = None,
    ) -> None:
        records = list(records)
        compressor = codec.compressor(compression, piece.length_of(records))
        batch = bytearray()
        for record in records:
            batch += record.head
            for chunk in _content(record, contents):
                batch += chunk
                if len(batch) >= _BATCH:
                    target.write(compressor.feed(batch))
                    if under_way is not None:
                        under_way.advance(len(batch))
                    batch = bytearray()
            batch += cpio.padding(record.size)
        target.write(compressor.feed(batch))
        target.write(compressor.finish())

    def _add_tree(self, step: TreeStep, writer: tar.Writer) -> None:
        listing = list_step(step)
        for entry in listing.directories:
            writer.add(entry)
        entries = {id(node): entry for entry, node in listing.files}
        found = self._larder.contents(step.ingredient, [node for _, node in listing.files])
        with self._task(step, sum(entry.size for entry in entries.values())) as under_way:
            for node, chunks in found:
                entry = entries[id(node)]
                writer.add(entry, chunks)
                under_way.advance(entry.size)
        for entry in listing.rest:
            writer.add(entry)

    def _task(self, step: Step, size: int) -> AbstractContextManager[Task]:
        """What takes a moment is shown; the rest is not worth a line."""
        shown = self._progress if size >= _SHOWN_FROM else SILENT
        return task(shown, f"pack {step.name}", size)


def _content(record: Record, contents: Iterator[tuple[Node, Iterator[Chunk]]]) -> Iterator[Chunk]:
    if isinstance(record.source, Node):
        node, chunks = next(contents)
        assert node is record.source
        return chunks
    return chunks_of(record.source or b"")

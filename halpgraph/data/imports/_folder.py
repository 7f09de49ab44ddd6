"""Folders with one file a clip, and perhaps a labels.csv beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from halpgraph.data.clips import Clip
from halpgraph.data.imports._labels import Table, read_table
from halpgraph.data.imports._source import RawClip, Skipped, Source
from halpgraph.data.imports._tidy import OtherLayoutError
from halpgraph.errors import UserError

LABELS = "labels.csv"


class ClipFolder:
    """Read a folder file by file, in the order of their names.

    Args:
        path: the folder.
        suffix: of the clips' files.
        read: makes a clip of a file; a ``UserError`` of it skips that file.
        finish: called after the last file; may refuse the whole.

    Raises:
        UserError: no such folder, no such files, or a labels.csv that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        read: Callable[[Path], RawClip],
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        if not path.is_dir():
            raise UserError(f"{path}: must be a folder with one {suffix} a clip")
        self.read, self.finish = read, finish
        files = (f for f in path.iterdir() if f.suffix.lower() == suffix and f.name[0] != ".")
        self.files = sorted(f for f in files if f.name.lower() != LABELS)
        if not self.files:
            raise UserError(f"{path}: no {suffix} files in it")
        self.table: Table | None = None
        if (path / LABELS).is_file():
            self.table = read_table(path / LABELS)

    def source(self) -> Source:
        """Return the folder as a source."""
        if self.table is None:
            return Source(self._clips())
        there = {file.stem for file in self.files}
        return Source(
            self._clips(),
            self.table.classes,
            splits={"own": self.table.parts} if {"train", "test"} <= set(self.table.parts) else {},
            values=self.table.values,
            missing=[name for name in self.table.names if name not in there],
        )

    def _clips(self) -> Iterator[Clip | Skipped]:
        listed = set(self.table.names) if self.table else set()
        for file in self.files:
            if self.table is not None and file.stem not in listed:
                yield Skipped(file.stem, f"not in {LABELS}")
                continue
            try:
                clip = self.read(file)
            except UserError as error:
                reason = str(error).removeprefix(f"{file}: ")
                yield Skipped(file.stem, reason, isinstance(error, OtherLayoutError))
                continue
            if self.table is not None:
                clip.label = self.table.labels.get(clip.name, clip.label)
                clip.fields |= self.table.fields.get(clip.name, {})
            yield clip
        self.finish()

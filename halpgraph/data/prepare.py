"""From the raw files of a skeleton set to a prepared set: in parallel, resumable, and reported."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Ints, Prepared, Split
from halpgraph.data.readers import get_reader
from halpgraph.data.readers._base import Dropped, Found, Outcome, Reader
from halpgraph.data.readers._parts import Parts, read_part
from halpgraph.data.readers._pool import Chunk, read_chunk, work_through
from halpgraph.data.readers._raw import Raw
from halpgraph.environment import available_cores
from halpgraph.errors import UserError, did_you_mean
from halpgraph.layout import get_layout


@dataclass(frozen=True)
class SplitCheck:
    """A split's sizes beside the published ones (None where there are none)."""

    name: str
    train: int
    test: int
    expected_train: int | None = None
    expected_test: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the sizes are those published."""
        expected = (self.expected_train, self.expected_test)
        return expected[0] is None or expected == (self.train, self.test)


@dataclass
class PrepareReport:
    """What was read, what was dropped and why, and whether the splits are the published ones."""

    prepared: Prepared
    table: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    splits: list[SplitCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare(
    name: str,
    raw: Path | str,
    out: Path | str,
    *,
    convention: str | None = None,
    jobs: int | None = None,
    dtype: str = "float32",
    quiet: bool = False,
) -> PrepareReport:
    """Read the raw files of a set and write it as a prepared set.

    A damaged file is reported and skipped. Stopped half-way, the same command goes on from where
    it was: finished pieces wait in ``.NAME.parts`` beside ``out`` until the set is whole.

    Args:
        name: ``nw_ucla``, ``utd_mhad``, ``ntu60``, ``ntu120``, ``pku1`` or ``pku2``.
        raw: the folder of the files, a zip of them, or a folder of zips.
        out: where the set will be; must not exist.
        convention: how bodies are chosen, cleaned, centred; the reader's first if None.
        jobs: number of processes; one a core if None.
        dtype: ``float32`` or ``float16``.
        quiet: no progress bar.

    Raises:
        UserError: unknown name or convention, no such files, or something at ``out`` already.
        RunError: the disk is full or read-only, or a worker was killed.
    """
    reader, out = get_reader(name), Path(out).expanduser()
    convention = _convention(reader, convention)
    if dtype not in ("float32", "float16"):
        raise UserError(f"dtype: must be float32 or float16, not {dtype}")
    _free(out)
    files = Raw(raw)
    found = _find(reader, files)
    sizes = [(unit.member, files.sizes.get(unit.member), unit.extra) for unit in found.units]
    parts = Parts(out, [reader.name, convention, reader.chunk, str(files.path.resolve()), sizes])
    with parts.locked():
        if out.exists():  # another process finished it meanwhile
            parts.leave()
        _free(out)
        chunks = [
            Chunk(tuple(found.units[at : at + reader.chunk]), parts.path(number))
            for number, at in enumerate(range(0, len(found.units), reader.chunk))
        ]
        _read_all(reader, files, convention, chunks, jobs or available_cores(), quiet)
        report = _write(reader, files, found, convention, chunks, out, dtype)
        parts.remove()
    return report


def _convention(reader: Reader, convention: str | None) -> str:
    known = list(reader.conventions)
    if convention is not None and convention not in known:
        raise UserError(
            f"convention: {convention}: unknown for {reader.name}{did_you_mean(convention, known)}"
        )
    return convention or known[0]


def _free(out: Path) -> None:
    if out.exists():
        raise UserError(
            f"{out}: is there already, and nothing is overwritten; use it as it is, move it away, "
            "or choose another place with --out"
        )


def _find(reader: Reader, files: Raw) -> Found:
    found = reader.find(files)
    if not found.units:
        raise UserError(
            f"{files.path}: no files of {reader.name} in it; looked for {reader.files} there, in "
            "folders below it and in zips in it"
        )
    return found


def _read_all(
    reader: Reader, files: Raw, convention: str, chunks: Sequence[Chunk], jobs: int, quiet: bool
) -> None:
    left = [chunk for chunk in chunks if not chunk.path.is_file()]
    total = sum(len(chunk.units) for chunk in chunks)
    with _bar(reader.name, total, total - sum(len(c.units) for c in left), quiet) as tick:
        work_through(reader, files, convention, left, jobs, tick)


@contextlib.contextmanager
def _bar(name: str, total: int, done: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # refreshed by hand: a thread of its own must not be there when workers are forked
    with Progress(*columns, console=Console(stderr=True), disable=quiet, auto_refresh=False) as bar:
        task = bar.add_task(f"{name} files", total=total, completed=done)
        yield lambda number: bar.update(task, advance=number, refresh=True)


def _write(
    reader: Reader,
    files: Raw,
    found: Found,
    convention: str,
    chunks: Sequence[Chunk],
    out: Path,
    dtype: str,
) -> PrepareReport:
    layout = get_layout(reader.layout)
    about: dict[str, Any] = {**reader.about, "convention": reader.conventions[convention]}
    dropped, mended = list(found.dropped), Counter[str]()
    with ClipWriter(out, reader.name, layout, reader.classes, convention, dtype, about) as writer:
        for chunk in chunks:
            for outcome in _outcomes(reader, files, convention, chunk):
                if isinstance(outcome, Dropped):
                    dropped.append(outcome)
                    continue
                writer.add(outcome.clip)
                mended.update(outcome.mended.split("; ") if outcome.mended else [])
        dropped.sort(key=lambda item: item.name)
        if not len(writer):
            first = f"; the first: {dropped[0].reason}" if dropped else ""
            raise UserError(f"{files.path}: no clip could be used of {len(dropped)}{first}")
        splits, checks = _splits(reader, files, list(writer.names), writer.fields)
        notes = [*found.notes, *(f"{n} clips {what}" for what, n in sorted(mended.items()))]
        notes += _words(reader, len(writer), dropped, checks)
        here = f"{files.path}: "  # where the raw files lie is nobody's business
        writer.about["dropped"] = [
            asdict(item) | {"reason": item.reason.replace(here, "")} for item in dropped
        ]
        prepared = writer.finish(splits, notes)
    table = _table(found, len(prepared), dropped, mended)
    return PrepareReport(prepared, table, dropped, checks, notes)


def _outcomes(reader: Reader, files: Raw, convention: str, chunk: Chunk) -> list[Outcome]:
    found = read_part(chunk.path)
    return found if found is not None else read_chunk(reader, files, convention, chunk)


def _splits(
    reader: Reader, files: Raw, names: Sequence[str], fields: Sequence[Mapping[str, int]]
) -> tuple[dict[str, Split], list[SplitCheck]]:
    keys = fields[0] if fields else ()
    columns: dict[str, Ints] = {
        key: np.array([row[key] for row in fields], np.int64) for key in keys
    }
    splits, checks = {}, []
    for name, rule in reader.rules.items():
        part = rule.part(files, names, columns)
        if part is None:
            continue
        splits[name] = Split(part, rule.inner)
        sizes = int((part == 0).sum()), int((part == 1).sum())
        checks.append(SplitCheck(name, *sizes, *(rule.expected or (None, None))))
    return splits, checks


def _words(
    reader: Reader, clips: int, dropped: Sequence[Dropped], checks: Sequence[SplitCheck]
) -> list[str]:
    words = [f"{n} samples dropped: {kind}" for kind, n in Counter(d.kind for d in dropped).items()]
    if reader.expected is not None and clips != reader.expected:
        words.append(f"{clips} of the {reader.expected} published clips: a part of the set")
    there = {check.name for check in checks}
    words += [f"split {name}: its file is not there" for name in reader.rules if name not in there]
    for check in checks:
        if not check.ok:
            words.append(
                f"split {check.name} differs: {check.train} train and {check.test} test, published "
                f"are {check.expected_train} and {check.expected_test}"
            )
    return words


def _table(
    found: Found, clips: int, dropped: Sequence[Dropped], mended: Mapping[str, int]
) -> list[dict[str, Any]]:
    by_name = len(found.dropped)
    rows: list[dict[str, Any]] = [{"what": "files found", "count": len(found.units) + by_name}]
    rows.append({"what": "clips read", "count": clips})
    rows += [{"what": f"of which {what}", "count": n} for what, n in sorted(mended.items())]
    kinds = Counter(item.kind for item in dropped)
    rows += [{"what": f"dropped: {kind}", "count": n} for kind, n in sorted(kinds.items())]
    return rows

"""Pieces of work side by side: each process reads files and writes one finished piece a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from halpgraph.data.clip_writer import check_clip
from halpgraph.data.readers._base import Dropped, Outcome, Reader, Unit
from halpgraph.data.readers._parts import damaged, write_part
from halpgraph.data.readers._raw import Raw
from halpgraph.errors import RunError, UserError
from halpgraph.layout import get_layout


@dataclass(frozen=True)
class Chunk:
    """Some files, and where the piece made of them goes."""

    units: tuple[Unit, ...]
    path: Path


_hand: tuple[Reader, Raw, str] | None = None  # of a worker: what it was forked with


def work_through(
    reader: Reader,
    raw: Raw,
    convention: str,
    chunks: Sequence[Chunk],
    jobs: int,
    tick: Callable[[int], None],
) -> None:
    """Make the pieces.

    Args:
        reader: of the set.
        raw: its files.
        convention: by which they are read.
        chunks: the work.
        jobs: number of processes.
        tick: told the number of files after each piece.

    Raises:
        RunError: the disk is full, or a worker was killed; finished pieces are kept.
    """
    if jobs == 1 or len(chunks) < 2:
        for chunk in chunks:
            write_part(chunk.path, read_chunk(reader, raw, convention, chunk))
            tick(len(chunk.units))
        return
    raw.close()  # workers open archives for themselves
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(
        min(jobs, len(chunks)), context, initializer=_begin, initargs=(reader, raw, convention)
    )
    try:
        waiting = {pool.submit(_work, chunk): chunk for chunk in chunks}
        for future in as_completed(waiting):
            future.result()
            tick(len(waiting[future].units))
    except BaseException as error:
        for worker in list((pool._processes or {}).values()):
            worker.terminate()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise RunError(
            "a worker process was killed, perhaps for want of memory; what is done is kept, and "
            "the same command goes on from there (with --jobs 1 it takes the least memory)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def read_chunk(reader: Reader, raw: Raw, convention: str, chunk: Chunk) -> list[Outcome]:
    """Read files; what cannot be used is dropped with its reason."""
    layout, outcomes = get_layout(reader.layout), list[Outcome]()
    for unit in chunk.units:
        try:
            found = reader.read(raw, unit, convention)
        except UserError as error:
            outcomes.append(damaged(unit.name, error))
            continue
        for outcome in found:
            if not isinstance(outcome, Dropped):
                try:
                    check_clip(outcome.clip, layout, reader.classes)
                except UserError as error:
                    outcome = damaged(outcome.clip.name, error)
            outcomes.append(outcome)
    return outcomes


def _begin(reader: Reader, raw: Raw, convention: str) -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    global _hand
    _hand = (reader, raw, convention)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(chunk: Chunk) -> None:
    if _hand is not None:
        write_part(chunk.path, read_chunk(*_hand, chunk))

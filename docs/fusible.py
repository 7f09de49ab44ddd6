"""What can be fused: streams, other encoders, hand-made features, untrained twins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from fused import STREAM

from halpgraph.recipe import cell_part
from halpgraph.rundir import RunDir

HAND_MADE = "distances"  # the floor, not the stream of that name
UNTRAINED = "untrained"
Members = tuple[str, ...]  # streams; then the marks of members of other kinds, where there are any
MARK = "hand-made"
TWINS = "untrained twins"


@dataclass(frozen=True)
class Fusible:
    """A run over streams, and runs of other encoders with the same rows, each of one stream."""

    run: RunDir
    others: tuple[RunDir, ...] = ()
    each: int = 1  # trainings of every encoder that are fused

    @property
    def members(self) -> dict[str, tuple[RunDir, str]]:
        """Return the run and the stream of each encoder: streams, then names of the others."""
        found = {stream: (self.run, stream) for stream in self.run.recipe["grid"][STREAM]}
        for other in self.others:
            found[other.recipe["encoder"]["name"]] = (other, other.recipe["method"]["stream"])
        return found


def sets_of(encoders: list[str]) -> list[Members]:
    """Return every set of encoders with and without members of other kinds, two or more each."""
    some = [c for k in range(1, len(encoders) + 1) for c in combinations(encoders, k)]
    marks = [(), (MARK,), (TWINS,), (MARK, TWINS)]
    return [c for c in ((*s, *of) for of in marks for s in some) if len(c) > 1]


def rows_of(of: Fusible, arm: str, members: Members) -> list[tuple[str, str]]:
    """Return the encoder and the row of each of them."""
    encoders = [m for m in members if m not in (MARK, TWINS)]
    found = [(encoder, arm) for encoder in encoders]
    found += [(of.run.recipe["grid"][STREAM][0], HAND_MADE)] if MARK in members else []
    return found + ([(encoder, UNTRAINED) for encoder in encoders] if TWINS in members else [])


def names(of: Fusible, arm: str, members: Members, split: str = "") -> list[str]:
    """Return what ``halpgraph ensemble`` calls them; ``split`` is one of a search's."""
    out, known = [], of.members
    for encoder, row in rows_of(of, arm, members):
        run, stream = known[encoder]
        values = {STREAM: stream, "data.split": split}
        cell = "_".join(cell_part(axis, values[axis]) for axis in run.recipe["grid"])
        out.append(f"{run.path}:{cell}/{row}" if cell else f"{run.path}:{row}")
    return out

"""The published splits of NTU RGB+D, told from the numbers in the file names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from halpgraph.data.clips import Ints
from halpgraph.data.readers._base import Rule
from halpgraph.data.readers._raw import Raw

TRAIN_60 = frozenset((1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38))
_MORE = (45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96))
TRAIN_120 = TRAIN_60 | {*_MORE, 97, 98, 100, 103}
TRAIN_CAMERAS = frozenset((2, 3))
TRAIN_SETUPS = frozenset(range(2, 33, 2))


def by(field: str, train: Collection[int], expected: tuple[int, int] | None) -> Rule:
    """Return a split whose training part has some values of a field, the test part the others."""

    def part(raw: Raw, names: Sequence[str], fields: Mapping[str, Ints]) -> Ints:
        return np.where(np.isin(fields[field], sorted(train)), 0, 1)

    return Rule(part, field, expected)


SPLITS_60 = {
    "xsub": by("subject", TRAIN_60, (40091, 16487)),
    "xview": by("camera", TRAIN_CAMERAS, (37646, 18932)),
}
SPLITS_120 = {
    "xsub": by("subject", TRAIN_120, (63026, 50919)),
    "xset": by("setup", TRAIN_SETUPS, (54468, 59477)),
}

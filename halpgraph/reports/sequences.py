"""Skeleton sequences on the page: what the data look like, and what the embeddings put together.

Which clips are shown is a fixed rule and never depends on a result: the classes are spread evenly
over the list of all classes, and of each the first clip is taken, in the order of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from halpgraph.data.clips import Prepared
from halpgraph.drawing import strip_svg
from halpgraph.reports.plots import Figure

CLASSES, QUERIES, NEIGHBOURS, FRAMES = 6, 3, 3, 8
CELL = 72.0  # width of a frame, so that most strips are of one size
UNNAMED = -1  # class of a clip without a label

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """A clip of the test part, and the training clips whose embeddings are nearest to its own."""

    query: Figure
    found: list[Figure]
    said: str


def examples(
    found: Prepared, among: Sequence[int] | Ints | None = None, classes: int = CLASSES
) -> list[Figure]:
    """Draw one sequence of each of a few classes.

    Args:
        found: the set.
        among: positions to choose from, the training part for instance; all by default.
        classes: how many at most; without labels, that many clips.
    """
    ids = np.arange(len(found)) if among is None else np.asarray(among, np.int64)
    return [figure(found, i, legend=k == 0) for k, i in enumerate(_first(ids, found.y, classes))]


def neighbours(
    found: Prepared,
    z: NDArray[Any],
    ids: Sequence[int] | Ints,
    y: NDArray[Any] | None,
    train: Sequence[int] | Ints,
    test: Sequence[int] | Ints,
    queries: int = QUERIES,
    k: int = NEIGHBOURS,
) -> list[Neighbours]:
    """Draw a few clips of the test part, each with its nearest neighbours in the training part.

    Nearest is by the cosine of the embeddings, as the kNN evaluator has it; of equals, the first.

    Args:
        found: the set.
        z: embeddings.
        ids: the position in the set of each row of ``z``.
        y: the class of each row, or None.
        train: positions in the set that neighbours come from.
        test: positions in the set that queries come from.
        queries: how many at most.
        k: neighbours of each.

    Shapes: z [n, D], ids [n], y [n].

    Returns:
        Nothing where a part has no embeddings; rows that are not finite are left out.
    """
    unit, ids = _unit(np.asarray(z, np.float64)), np.asarray(ids, np.int64)
    good = np.isfinite(unit).all(1)
    rows = np.flatnonzero(good & np.isin(ids, np.asarray(train, np.int64)))
    asked = np.flatnonzero(good & np.isin(ids, np.asarray(test, np.int64)))
    if not len(rows) or not len(asked):
        return []
    asked = asked[np.argsort(ids[asked], kind="stable")]
    rows = rows[np.argsort(ids[rows], kind="stable")]
    known = None if y is None else np.asarray(y, np.int64)
    picked = _first(asked, known, queries)
    return [
        _nearest(found, unit, ids, known, q, rows, k, legend=place == 0)
        for place, q in enumerate(picked)
    ]


def _nearest(
    found: Prepared,
    unit: NDArray[Any],
    ids: Ints,
    y: Ints | None,
    query: int,
    rows: Ints,
    k: int,
    legend: bool,
) -> Neighbours:
    near = unit[rows] @ unit[query]
    order = np.argsort(-near, kind="stable")[:k]
    own = UNNAMED if y is None else int(y[query])
    figures = []
    for place, at in enumerate(order, start=1):
        other = UNNAMED if y is None else int(y[rows[at]])
        same = "" if own == UNNAMED else ("same class, " if other == own else "another class, ")
        title = f"Neighbour {place}: {class_name(found, other)}"
        note = f"{same}cosine {near[at]:.3f}"
        figures.append(figure(found, int(ids[rows[at]]), title, note, legend=False))
    shown = figure(found, int(ids[query]), f"Query: {class_name(found, own)}", legend=legend)
    hits = 0 if y is None else int((y[rows[order]] == own).sum())
    said = f"{hits} of {len(order)} neighbours are of the query's class." if y is not None else ""
    return Neighbours(shown, figures, said)


def figure(
    found: Prepared, index: int, title: str = "", note: str = "", legend: bool = True
) -> Figure:
    """Draw one clip of a set; the caption says which, and how long it is."""
    clip = found.clip(index)
    title = title or class_name(found, UNNAMED if clip.label is None else clip.label)
    frames = clip.pose.shape[1]
    caption = f"{clip.name}, {frames} frame{'s' if frames != 1 else ''}"
    said = f"{title}: {caption}"
    drawn = strip_svg(clip, found.layout, FRAMES, legend=legend, said=said, cell=CELL)
    return Figure(title, Markup(drawn), caption=f"{caption}, {note}" if note else caption)


def class_name(found: Prepared, label: int) -> str:
    """Return a class in words."""
    if label == UNNAMED:
        return "no label"
    return found.classes[label] if label < len(found.classes) else f"class {label}"


def _first(ids: Ints, y: Ints | None, count: int) -> list[int]:
    """Return the first of each of ``count`` classes that are spread over those there are.

    ``y`` is looked up by ``ids``. Without labels the clips themselves are spread.
    """
    heads = ids
    if y is not None:
        classes, first = np.unique(y[ids], return_index=True)
        heads = ids[first[classes >= 0]]
    if not len(heads):
        return []
    at = np.linspace(0, len(heads) - 1, min(count, len(heads))).round().astype(int)
    return [int(i) for i in heads[np.unique(at)]]


def _unit(z: NDArray[Any]) -> NDArray[Any]:
    length = np.linalg.norm(z, axis=1, keepdims=True)
    return z / np.where(length > 0, length, 1.0)

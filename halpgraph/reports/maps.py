"""A map of the embeddings in two dimensions, classes told apart by colour and by shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from halpgraph.reports import svg
from halpgraph.reports.plots import Figure
from halpgraph.reports.source import Cell, SeedFolder

MOST_POINTS = 500  # enough for a small picture; t-SNE of 500 takes about 2 s
MOST_CLASSES = 12
# Drawn from the point's centre; round and square are the caps of a line without length.
SHAPES = ("h0", "h0", "m0-3.4l3.4 5.8h-6.8z", "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z", "m-3 0h6m-3-3v6")
FRAME = svg.Frame(width=340, height=300, left=6, right=6, top=6, bottom=6)

Floats = NDArray[np.float64]


def project(z: Floats, seed: int = 0) -> tuple[Floats, str]:
    """Map embeddings to the plane: PCA, then t-SNE where there are enough points. Shapes: [n, D].

    Columns are standardised first, or the sizes of the graphs would be all there is to see.

    Returns:
        The positions [n, 2], and the name of the map.
    """
    z = z - z.mean(axis=0)
    spread = z.std(axis=0)
    z = z[:, spread > 1e-12] / spread[spread > 1e-12]
    if z.shape[1] == 0:
        return np.zeros((len(z), 2)), "no spread: every embedding is the same"
    flat = _pca(z, min(50, *z.shape))
    if len(z) < 10 or flat.shape[1] < 3:
        return _two(flat), "PCA"
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    wide = min(30.0, (len(z) - 1) / 3)
    tsne = TSNE(2, perplexity=wide, init="pca", max_iter=400, random_state=seed, n_jobs=1)
    with threadpool_limits(1):  # more threads are slower on so few points
        return np.asarray(tsne.fit_transform(flat), dtype=np.float64), "PCA, then t-SNE"


def _pca(z: Floats, dimensions: int) -> Floats:
    left, values, _ = np.linalg.svd(z, full_matrices=False)
    return np.asarray(left[:, :dimensions] * values[:dimensions])


def _two(flat: Floats) -> Floats:
    """Pad to two columns."""
    return np.pad(flat[:, :2], ((0, 0), (0, max(0, 2 - flat.shape[1]))))


def maps(cell: Cell) -> list[Figure]:
    """Draw the first seed of every arm, the treatment first; the same graphs on every map."""
    order = {str(row.get("row")): str(row.get("kind")) for row in cell.rows}
    place = {"treatment": 0, "control": 1}
    arms = sorted(cell.arms, key=lambda arm: place.get(order.get(arm, ""), 2))
    figures = [_figure(cell, arm, cell.arms[arm][0]) for arm in arms]
    return [figure for figure in figures if figure is not None]


def _figure(cell: Cell, arm: str, seed: SeedFolder) -> Figure | None:
    arrays = seed.embeddings()
    if "z" not in arrays or len(arrays["z"]) < 2:
        return None
    z = np.asarray(arrays["z"], dtype=np.float64)
    y = arrays.get("y")
    chosen, note = _sample(len(z))
    good = chosen[np.isfinite(z[chosen]).all(axis=1)]
    if len(good) < 2:
        return None
    where, way = project(z[good])
    labels = np.asarray(y).reshape(-1)[good] if y is not None and len(y) == len(z) else None
    names = list(cell.data.get("class_names") or [])
    title = f"{cell.label(arm)}, seed {seed.seed}"
    body, legend = _points(where, labels, names)
    said = f"Map of {len(good)} embeddings of {cell.title}, {title}"
    caption = f"{way}; {len(good)} graphs{note}."
    if labels is None:
        caption += " Classes were not measured."
    return Figure(title, svg.picture(FRAME, body, said), legend, caption)


def _sample(n: int) -> tuple[NDArray[np.int64], str]:
    if n <= MOST_POINTS:
        return np.arange(n), ""
    chosen = np.random.default_rng(0).choice(n, MOST_POINTS, replace=False)
    return np.sort(chosen), f", drawn from {n}"


def _points(
    where: Floats, labels: NDArray[np.generic] | None, names: Sequence[str]
) -> tuple[Markup, list[tuple[Markup, str]]]:
    low, high = where.min(axis=0), where.max(axis=0)
    x = svg.Scale(low[0], high[0], FRAME.left + 6, FRAME.width - FRAME.right - 6)
    y = svg.Scale(low[1], high[1], FRAME.height - FRAME.bottom - 6, FRAME.top + 6)
    classes = [] if labels is None else sorted(set(labels.tolist()))
    groups = [where] if labels is None else [where[labels == value] for value in classes]
    size = 7.0 if len(where) < 400 else 5.5
    drawn = [
        _cloud([(x(a), y(b)) for a, b in group], k, size, k if labels is not None else 7)
        for k, group in enumerate(groups)
    ]
    legend = [(_sample_mark(k), _class(value, names)) for k, value in enumerate(classes)]
    if len(legend) > MOST_CLASSES:
        rest = len(legend) - MOST_CLASSES
        legend = [*legend[:MOST_CLASSES], (Markup(""), f"and {rest} more")]
    border = '<rect x=".5" y=".5" width="{}" height="{}" class="border"/>'
    frame = Markup(border).format(FRAME.width - 1, FRAME.height - 1)
    return frame + Markup("").join(drawn), legend


def _class(value: object, names: Sequence[str]) -> str:
    known = isinstance(value, int) and 0 <= value < len(names)
    return str(names[value]) if known and isinstance(value, int) else f"class {value}"


def _cloud(pixels: Sequence[tuple[float, float]], index: int, size: float, shade: int) -> Markup:
    """Draw the points of one class as one path."""
    shape = index % len(SHAPES)
    path = "".join(f"M{a:.1f} {b:.1f}{SHAPES[shape]}" for a, b in pixels)
    style = f"stroke:{svg.colour(shade)};" + _look(shape, svg.colour(shade), size)
    return Markup('<path d="{}" class="cloud" style="{}"/>').format(path, style)


def _look(shape: int, colour: str, size: float) -> str:
    if shape == 0:
        return f"stroke-width:{size};stroke-linecap:round"
    if shape == 1:
        return f"stroke-width:{size - 1};stroke-linecap:square"
    if shape == 4:
        return "stroke-width:1.8"
    return f"fill:{colour};stroke-width:0"


def _sample_mark(index: int) -> Markup:
    mark = _cloud([(7.0, 7.0)], index, 8.0, index)
    return Markup('<svg class="mark" viewBox="0 0 14 14" aria-hidden="true">{}</svg>').format(mark)

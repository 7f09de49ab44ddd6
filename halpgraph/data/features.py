"""Node features are an explicit choice: labels, attributes, degree, constant - and said in words.

The choice can decide a result (degrees alone classify some sets), so reports print it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from halpgraph.data.tables import Column, Floats, Ints, Tables
from halpgraph.errors import UserError, did_you_mean

FEATURES = ("labels", "attributes", "degree", "constant")
_STANDARDISED = "attributes standardised over all nodes of the data set"


@dataclass(frozen=True)
class Schema:
    """What was decided when features were made, so that other graphs get the same ones.

    Values that were not there then become blank codes; larger degrees count as the largest.
    """

    features: tuple[str, ...]
    columns: tuple[Column, ...]
    degrees: int
    x_is: str
    x_width: int
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


@dataclass
class NodeFeatures:
    """Features in the form of ``batch.py``. Shapes: x [N, F], codes [N, K]."""

    x: Floats
    codes: Ints
    num_codes: int
    text: str
    schema: Schema
    notes: list[str] = field(default_factory=list)


def default_features(tables: Tables) -> list[str]:
    """Return what is used where nobody chose: labels, else attributes, else degrees."""
    if tables.columns:
        return ["labels"]
    return ["attributes"] if tables.attributes.shape[1] else ["degree"]


def build_features(
    tables: Tables,
    features: Sequence[str] | None = None,
    degree_cap: int = 64,
    standardise: bool = False,
    schema: Schema | None = None,
) -> NodeFeatures:
    """Make node features.

    Args:
        tables: the data set.
        features: any of ``labels``, ``attributes``, ``degree``, ``constant``.
        degree_cap: degrees from here on share one code.
        standardise: give attributes mean 0 and variance 1 over all nodes of the data set.
        schema: of earlier graphs, to make the same features of these; outweighs the rest.

    Raises:
        UserError: an unknown feature, one twice, or one that the data set has not got.
    """
    if schema is None:
        names = list(default_features(tables) if features is None else features)
        _check(tables, names, degree_cap)
        schema = _decide(tables, names, degree_cap, standardise)
    columns: list[tuple[Ints, int]] = []
    dense = [np.empty((tables.num_nodes, 0), np.float32)]
    for name in schema.features:
        if name == "labels":
            sizes = [column.size for column in schema.columns]
            columns += zip(tables.labels.T, sizes, strict=True)
        elif name == "degree":
            degree = np.diff(tables.rowptr)
            columns.append((np.minimum(degree, schema.degrees - 1), schema.degrees))
        elif name == "attributes":
            dense.append(_standardised(tables.attributes, schema))
        else:
            dense.append(np.ones((tables.num_nodes, 1), np.float32))
    codes, num_codes = _offset(columns, tables.num_nodes)
    x = np.concatenate(dense, axis=1)  # [N, F]
    text = " + ".join(_words(tables, schema, name) for name in schema.features)
    notes = [_STANDARDISED] if schema.scale else []
    return NodeFeatures(x, codes, num_codes, text, schema, notes)


def _decide(tables: Tables, names: Sequence[str], cap: int, standardise: bool) -> Schema:
    largest = int(np.diff(tables.rowptr).max(initial=0))
    centre, scale = (), ()
    if standardise and "attributes" in names:
        spread = tables.attributes.std(axis=0, dtype=np.float64)
        centre = tuple(tables.attributes.mean(axis=0, dtype=np.float64).tolist())
        scale = tuple(np.where(spread > 0, spread, 1.0).tolist())
    return Schema(
        features=tuple(names),
        columns=tables.columns,
        degrees=min(largest, cap) + 1,
        x_is=tables.x_is,
        x_width=_x_width(tables),
        centre=centre,
        scale=scale,
    )


def _x_width(tables: Tables) -> int:
    if tables.x_is == "one-hot":
        return tables.columns[0].size
    return len(tables.columns) + int(tables.attributes.shape[1])


def _check(tables: Tables, names: Sequence[str], degree_cap: int) -> None:
    has = [name for name in FEATURES if _has(tables, name)]
    if not names:
        raise UserError(f"data.features: empty; {tables.name} has {', '.join(has)}")
    for name in names:
        if name not in FEATURES:
            raise UserError(f"data.features: {name}: unknown{did_you_mean(str(name), FEATURES)}")
        if name not in has:
            raise UserError(
                f"data.features: {tables.name} has no node {name}; it has {', '.join(has)}"
            )
    if len(set(names)) < len(names):
        raise UserError(f"data.features: a feature is named twice in {', '.join(names)}")
    if degree_cap < 1:
        raise UserError(f"data.degree_cap: must be at least 1 (got {degree_cap})")


def _has(tables: Tables, name: str) -> bool:
    counts = {"labels": len(tables.columns), "attributes": tables.attributes.shape[1]}
    return bool(counts.get(name, 1))


def _words(tables: Tables, schema: Schema, name: str) -> str:
    if name == "labels":
        total, count = sum(column.size for column in schema.columns), len(schema.columns)
        return f"{tables.labels_are} ({total}{f' in {count} columns' if count > 1 else ''})"
    if name == "degree":
        return f"degree (one-hot, up to {schema.degrees - 1})"
    if name == "attributes":
        return (
            f"attributes ({tables.attributes.shape[1]}{', standardised' if schema.scale else ''})"
        )
    return "constant"


def _standardised(attributes: Floats, schema: Schema) -> Floats:
    if not schema.scale:
        return attributes
    scaled: Floats = (attributes - np.array(schema.centre)) / np.array(schema.scale)
    return scaled.astype(np.float32)


def _offset(columns: Sequence[tuple[Ints, int]], nodes: int) -> tuple[Ints, int]:
    """Place columns side by side in one one-hot vector. Shapes: K x [N] -> [N, K]."""
    total, placed = 0, []
    for column, size in columns:
        placed.append(np.where(column < 0, -1, column + total))
        total += size
    codes = np.stack(placed, axis=1) if placed else np.empty((nodes, 0), np.int64)  # [N, K]
    codes[codes < 0] = total  # blank
    return np.ascontiguousarray(codes, dtype=np.int64), total

"""One call from a name, or from a list of graphs, to a data set that is ready to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch_geometric.data import Data

from halpgraph.data.cards import Card, card_of
from halpgraph.data.catalogue import check, describe_all, get
from halpgraph.data.dataset import DataSet
from halpgraph.data.features import NodeFeatures, Schema, build_features
from halpgraph.data.lists import read_list
from halpgraph.data.reading import read
from halpgraph.data.sources import look
from halpgraph.data.store import GraphStore
from halpgraph.data.tables import Tables
from halpgraph.errors import UserError, did_you_mean

__all__ = ["DataSet", "check", "describe_all", "from_list", "get", "load"]

_OPTIONS = ("degree_cap", "standardise")
SKELETON = ("split", "frames", "centre", "align", "scale", "fit")


def load(
    name: str,
    features: Sequence[str] | None = None,
    root: str | Path | None = None,
    **options: Any,
) -> DataSet:
    """Load a data set by name: find it, verify it, read it, make its node features.

    Args:
        name: one that has a card, or a set of the user's own in TU layout.
        features: ``labels``, ``attributes``, ``degree``, ``constant``; the card's choice if None.
        root: the user's data folder.
        options: ``degree_cap`` and ``standardise``, see ``build_features``; for skeletons those
            of ``skeleton_sets.from_prepared``.

    Raises:
        UserError: anything that is missing, damaged or not as its card says.
    """
    if is_skeletons(name, root):
        return _skeletons(name, features, root, options)
    for key in (key for key in SKELETON if options.pop(key, None) is not None):
        raise UserError(f"data.{key}: only for skeletons; {name} is a set of graphs")
    _check_options(options)
    reading = read(name, root)
    card = reading.card
    if features is None and card is not None and card.features:
        features = card.features
    made = build_features(reading.tables, features, **options)
    data = _data_set(reading.tables, made, card)
    data.info["found_in"] = f"{reading.found.place}: {reading.found.path}"
    data.splits, data.metric = reading.splits, reading.metric
    if reading.splits:
        data.info["metric"] = reading.metric
        sizes = ", ".join(f"{len(ids)} {part}" for part, ids in reading.splits.items())
        data.info["notes"].append(f"official split ({sizes}), official metric {reading.metric}")
    return data


def is_skeletons(name: str, root: str | Path | None = None) -> bool:
    """Tell whether a name means a set of skeletons: by its card, or by its prepared folder."""
    card = card_of(name)
    if card is not None:
        return card.source in ("skeletons", "toy")
    return look(name, "skeletons", root) is not None


def _skeletons(
    name: str, features: Any, root: str | Path | None, options: dict[str, Any]
) -> DataSet:
    from halpgraph.data.skeleton_sets import from_prepared, open_set

    own = {key: options.pop(key, None) for key in SKELETON}
    if features is not None:
        raise UserError(f"data.features: {name} is a set of skeletons; they have poses instead")
    for key, default in (("degree_cap", 64), ("standardise", False)):
        if options.pop(key, default) != default:
            raise UserError(f"data.{key}: only for graphs; {name} is a set of skeletons")
    _check_options(options)
    found, place = open_set(name, root)
    data = from_prepared(found, **own)
    data.info["found_in"] = place
    return data


def from_list(
    graphs: Sequence[Data],
    features: Sequence[str] | None = None,
    name: str = "custom",
    schema: Schema | None = None,
    **options: Any,
) -> DataSet:
    """Make a data set of any list of PyG ``Data``, or of a PyG data set.

    Args:
        graphs: the graphs; ``x`` and ``y`` may be missing from all of them.
        features: as in ``load``; where None, ``x`` if there is one, else degrees. ``attributes``
            without ``labels`` takes ``x`` as real-valued even where it could be categories.
        name: what to call it.
        schema: ``store.schema`` of earlier graphs, to make the same features of these.
        options: ``degree_cap`` and ``standardise``, see ``build_features``.

    Raises:
        UserError: a graph is not usable; the message names it.
    """
    _check_options(options)
    wanted = set(features or ())
    tables = read_list(graphs, name, schema, "attributes" in wanted and "labels" not in wanted)
    made = build_features(tables, features, **options, schema=schema)
    return _data_set(tables, made, None)


def _check_options(options: dict[str, Any]) -> None:
    for key in options:
        if key not in _OPTIONS:
            raise UserError(f"data.{key}: unknown setting{did_you_mean(key, _OPTIONS)}")


def _data_set(tables: Tables, features: NodeFeatures, card: Card | None) -> DataSet:
    store = GraphStore.from_tables(tables, features)
    y = None if tables.y is None else np.asarray(tables.y)
    return DataSet(store, y, _info(tables, features, card, store))


def _info(
    tables: Tables, features: NodeFeatures, card: Card | None, store: GraphStore
) -> dict[str, Any]:
    names = card.class_names if card and card.class_names else tables.classes
    return {
        "name": tables.name,
        "title": card.title if card else tables.name,
        "source": card.source if card else "own",
        "found_in": "memory",
        "licence": card.licence if card else "",
        "citation": card.citation if card else "",
        "num_graphs": tables.num_graphs,
        "num_nodes": tables.num_nodes,
        "num_edges": tables.edge_index.shape[1] // 2,
        "num_classes": len(tables.classes),
        "class_counts": tables.class_counts(),
        "class_names": list(names),
        "features": features.text,
        "num_features": store.num_features,
        "fingerprint": store.fingerprint(),
        "notes": [*tables.notes, *features.notes],
    }

"""The drawn sequences of a run: made while the data are at hand, kept in its folder, then read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from halpgraph.data.dataset import DataSet
from halpgraph.files import write_text
from halpgraph.reports.plots import Figure
from halpgraph.reports.sequences import Neighbours, examples, neighbours
from halpgraph.reports.source import optional_json

NAME = "sequences.json"


def keep_sequences(folder: Path, data: DataSet, z: NDArray[Any]) -> None:
    """Draw example clips, and test clips with their nearest training clips; write them down.

    Args:
        folder: of the cell.
        data: of skeletons; of graphs there is nothing to draw.
        z: embeddings of the whole set, of the first arm and seed of the recipe.

    Shapes: z [n, D].
    """
    found = data.prepared
    if found is None or (folder / NAME).is_file():
        return
    ids = np.arange(len(found))
    parts = data.splits or {"train": ids[::2], "test": ids[1::2]}
    near = neighbours(found, z, ids, data.y, parts["train"], parts["test"])
    content = {
        "examples": [_plain(one) for one in examples(found, parts["train"])],
        "neighbours": [
            {"query": _plain(n.query), "found": [_plain(f) for f in n.found], "said": n.said}
            for n in near
        ],
    }
    write_text(folder / NAME, json.dumps(content) + "\n")


def read_sequences(folder: Path) -> tuple[list[Figure], list[Neighbours]]:
    """Return what ``keep_sequences`` wrote; nothing where nothing was drawn."""
    content = optional_json(folder / NAME)
    near = [
        Neighbours(_figure(n["query"]), [_figure(f) for f in n["found"]], str(n["said"]))
        for n in content.get("neighbours", [])
    ]
    return [_figure(one) for one in content.get("examples", [])], near


def _plain(figure: Figure) -> dict[str, str]:
    kept = asdict(figure)
    return {key: str(kept[key]) for key in ("title", "picture", "caption")}


def _figure(kept: dict[str, str]) -> Figure:
    return Figure(kept["title"], Markup(kept["picture"]), caption=kept["caption"])

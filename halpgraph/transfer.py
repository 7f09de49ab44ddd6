"""Transfer: clips of one set through the encoder that was trained on another.

The clips are written in the layout that the encoder knows, joint by joint as the names say, and
are centred, turned, scaled and resampled as its own were.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from halpgraph.data.clips import Prepared
from halpgraph.data.dataset import DataSet
from halpgraph.data.skeleton_sets import from_prepared, open_set
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.device import pick_device, threads
from halpgraph.engine import embed
from halpgraph.errors import UserError
from halpgraph.jobs import trained_weights
from halpgraph.judging import builder, parts_as_arrays
from halpgraph.layout import Layout, make_layout
from halpgraph.layout_map import map_layout
from halpgraph.recipe import Recipe

Arrays = dict[str, np.ndarray[Any, Any]]


def embed_on(
    recipe: Recipe,
    info: dict[str, Any],
    checkpoint: Path,
    seed: int,
    on: str,
    root: str | Path | None = None,
    split: str | None = None,
) -> tuple[Arrays, list[str]]:
    """Embed another set with a trained encoder.

    Args:
        recipe: of the training, without arms.
        info: what ``data.json`` says of the set it was trained on.
        checkpoint: of the training.
        seed: of the training.
        on: name of the other set, or the path of its prepared folder.
        root: the user's data folder.
        split: a named split of the other set; its first by default.

    Returns:
        ``z [n, D]``, ``id [n]``, and ``y``, ``train``, ``test``, ``groups`` where there are such;
        and what was done to the joints, in words.

    Raises:
        UserError: no skeletons, layouts that share too little, no such set or split.
    """
    if info.get("kind") != "skeletons":
        raise UserError(f"--on {on}: the run is of graphs; only skeleton encoders can be moved")
    own = make_layout(str(info["layout"]), info["layout_content"])
    found, _ = open_set(on, root)
    found, notes = _rewritten(found, own, int(info["persons"]))
    settings = recipe.data.model_dump(include={"frames", "centre", "align", "scale"})
    data = from_prepared(found, split, **settings)
    if not isinstance(data.store, SkeletonStore):
        raise UserError(f"--on {on}: not a set of skeletons")
    data.store = replace(data.store, persons=int(info["persons"]))
    data.fit = None
    device = pick_device(recipe.train.device)
    with threads(1):
        method = builder(recipe, seed, data, trained_weights(checkpoint, recipe), device)()
        z = embed(method, data.store.to(device)).numpy()
    return _arrays(z, data) | parts_as_arrays(method.parts), notes


def _rewritten(found: Prepared, own: Layout, persons: int) -> tuple[Prepared, list[str]]:
    """Return the set in the encoder's layout, without bodies it has no place for."""
    notes = []
    if found.layout != own:
        mapped = map_layout(found.layout, own)
        notes += mapped.notes()
        frames = mapped.apply(torch.from_numpy(np.array(found.frames, np.float32))).numpy()
        found = replace(found, frames=frames, layout=own)
    extra = int((found.person >= persons).sum())
    if extra:
        raise UserError(
            f"--on {found.name}: {extra} bodies are in slots the encoder does not know (it was "
            f"trained with {persons} a clip); import the set with fewer persons"
        )
    return found, notes


def _arrays(z: np.ndarray[Any, Any], data: DataSet) -> Arrays:
    out: Arrays = {"z": z.astype(np.float32), "id": data.store.id.cpu().numpy()}
    if data.y is not None:
        out["y"] = data.y
    out |= {part: np.asarray(ids) for part, ids in (data.splits or {}).items()}
    if data.groups is not None:
        out["groups"] = np.asarray(data.groups)
    return out

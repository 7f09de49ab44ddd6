"""Weights of an ensemble of runs, looked for inside the training part, on request only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from halpgraph import registry
from halpgraph.contracts import Evaluator
from halpgraph.data.load import load
from halpgraph.embeddings import read_arrays
from halpgraph.ensemble_members import Member
from halpgraph.errors import UserError
from halpgraph.folds import make_folds
from halpgraph.judging import evaluator_keys
from halpgraph.recipe import validate


def search(
    members: Sequence[Member], seed: int, evaluator: str, root: str | Path | None = None
) -> list[float]:
    """Return one weight a member: the mean over the folds of those found inside each.

    The members' embeddings are joined by the id of each clip, and the evaluator ``ensemble`` is
    asked; it looks at training labels alone.

    Args:
        members: of the ensemble, of the same data set and split.
        seed: of the training and the folds.
        evaluator: of the first member's recipe, by its key; of ``ensemble``, what it is made of.
        root: where the data set is looked for first.

    Raises:
        UserError: embeddings of other clips, or the data set is not the one of the runs.
    """
    recipe = validate(members[0].recipe).cells()[members[0].cell]
    data = load(recipe.data.name, root=root, **recipe.data.model_dump(exclude={"name"}))
    own = data.store.id.cpu().numpy()
    blocks = []
    for one in members:
        content = read_arrays(one.folders[seed] / "embeddings.npz")
        odd = np.setxor1d(content["id"], own)
        if len(odd):
            raise UserError(
                f"ensemble: {one.name}: {len(odd)} clips are in its embeddings or in "
                f"{recipe.data.name} only (id {odd[0]}); fuse runs on the same data"
            )
        order = np.argsort(content["id"])[np.searchsorted(np.sort(content["id"]), own)]
        blocks.append(content["z"][order].astype(np.float64))
    spec = evaluator_keys(recipe.evaluators)[evaluator]
    if spec["name"] == "ensemble":  # of the streams of one member: here members are the streams
        spec = spec["of"]
    judge: Evaluator = registry.evaluators.build(
        {"name": "ensemble", "of": spec, "weights": "search"}, "ensemble"
    )
    names = [f"{i} {one.name}" for i, one in enumerate(members)]
    judge.parts = {name: z.shape[1] for name, z in zip(names, blocks, strict=True)}
    folds = make_folds(data, recipe.folds, seed)
    found = judge(np.hstack(blocks), np.asarray(data.y), folds, seed)
    table = [[one["weights"][name] for name in names] for one in found.chosen]
    return [float(value) for value in np.mean(table, axis=0)]

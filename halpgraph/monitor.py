"""A look at the embeddings while they are trained, with labels of the training part alone.

It changes nothing: no weight, no draw, no choice; it is a curve in the report.
"""

from __future__ import annotations

import numpy as np
import torch

from halpgraph.contracts import IntArray, Method
from halpgraph.data.dataset import DataSet
from halpgraph.engine import embed
from halpgraph.errors import UserError
from halpgraph.objectives import unit_rows

_AT_ONCE = 1024


def refuse(data: DataSet) -> None:
    """Fail where there is no training part whose labels may be looked at.

    Raises:
        UserError: no labels, or no named split that sets the test part aside.
    """
    name = data.info["name"]
    if data.y is None:
        raise UserError(f"train.monitor: {name} has no labels; leave it out")
    if data.fit is None or data.splits is None:
        raise UserError(
            f"train.monitor: {name} has no training part to look at, for folds test everything; "
            "choose a named split (data.split) and leave data.fit alone, or leave it out"
        )


def inside(method: Method, data: DataSet) -> float:
    """Return the 1-NN accuracy (cosine) among the training clips, each judged by other groups.

    Groups are the subjects or views that choices keep together (``data.groups``); where there are
    none, each clip is judged by all others.

    Args:
        method: in training or not; it is put into evaluation mode.
        data: with a named split; of its test part nothing is looked at.
    """
    refuse(data)
    assert data.y is not None
    fit = np.asarray(data.fit)
    groups = np.arange(len(fit)) if data.groups is None else np.asarray(data.groups)[fit]
    return nearest(embed(method, data.fit_store), np.asarray(data.y)[fit], groups)


def nearest(z: torch.Tensor, y: IntArray, groups: IntArray) -> float:
    """Return how often the nearest row of another group has the same label.

    Shapes: z [m, D], y [m], groups [m].
    """
    unit, label = unit_rows(z.float()), torch.as_tensor(y)
    group = torch.as_tensor(groups)
    right = 0
    for rows in torch.arange(len(unit)).split(_AT_ONCE):
        near = unit[rows] @ unit.t()  # [rows, m]
        near.masked_fill_(group[rows, None] == group, -torch.inf)
        right += int((label[near.argmax(1)] == label[rows]).sum())
    return right / len(unit)

"""What the clips around a clip say, and how well a judge tells labelled ones from them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from halpgraph.objectives import unit_rows


@torch.no_grad()
def closeness(rows: Tensor, ids: Tensor) -> Tensor:
    """Return the cosines of features, ``-inf`` between those of the same clip.

    Shapes: rows [P, D], ids [P] -> [P, P].
    """
    unit = unit_rows(rows)
    return (unit @ unit.t()).masked_fill_(ids[:, None] == ids, -torch.inf)


@torch.no_grad()
def around(similar: Tensor, opinions: Tensor, count: int) -> Tensor:
    """Return the mean opinion of each row's nearest clips; zeros where there is no other clip.

    Shapes: similar [B, P], opinions [P, classes] -> [B, classes].
    """
    value, near = similar.topk(min(count, similar.size(1)), dim=1)  # [B, n]
    there = (value > -torch.inf).to(opinions)[..., None]  # [B, n, 1]
    return (opinions[near] * there).sum(1) / there.sum(1).clamp(min=1)


def told_apart(found: Tensor, label: Tensor, similar: Tensor, count: int) -> Tensor:
    """Return the judge's cross entropy between labelled clips and their unlabelled neighbours.

    Both sides weigh the same; of the neighbours each counts as often as it is one. 0 where there
    are no pairs.

    Shapes: found [P] (the judge's logits), label [P] (-1: hidden), similar [P, P] -> [].
    """
    hidden = label < 0
    value, near = similar.masked_fill(~hidden, -torch.inf).topk(min(count, len(label)), dim=1)
    pairs = ((value > -torch.inf) & ~hidden[:, None]).to(found)  # [P, n]
    times = torch.zeros_like(found).index_add_(0, near.flatten(), pairs.flatten())  # [P]
    labelled = pairs.amax(1)  # [P]: 1 where a labelled clip has neighbours
    real = (labelled * F.softplus(-found)).sum() / labelled.sum().clamp(min=1)
    fake = (times * F.softplus(found)).sum() / times.sum().clamp(min=1)
    return (real + fake) / 2


def mean_where(value: Tensor, where: Tensor) -> Tensor:
    """Return the mean of some rows, 0 of none. Shapes: value [B], where [B] (bool) -> []."""
    return (value * where).sum() / where.sum().clamp(min=1)

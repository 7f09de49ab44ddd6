"""What the clips around a clip say, and how well a judge tells labelled ones from them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from halpgraph.objectives import unit_rows


def anchors(label: Tensor) -> Tensor:
    """Return where labelled clips are; on a GPU all places, for to ask there is to wait.

    Shapes: label [P] (-1: hidden) -> [A].
    """
    if label.is_cuda:
        return torch.arange(len(label), device=label.device)
    return (label >= 0).nonzero()[:, 0]


@torch.no_grad()
def closeness(rows: Tensor, ids: Tensor, at: Tensor) -> Tensor:
    """Return the cosines of some features to all, ``-inf`` to those of the same clip.

    Shapes: rows [P, D], ids [P], at [A] -> [A, P].
    """
    unit = unit_rows(rows)
    return (unit[at] @ unit.t()).masked_fill_(ids[at][:, None] == ids, -torch.inf)


@torch.no_grad()
def around(similar: Tensor, opinions: Tensor, count: int) -> Tensor:
    """Return the mean opinion of each row's nearest clips; zeros where there is no other clip.

    Shapes: similar [B, P], opinions [P, classes] -> [B, classes].
    """
    value, near = similar.topk(min(count, similar.size(1)), dim=1)  # [B, n]
    there = (value > -torch.inf).to(opinions)[..., None]  # [B, n, 1]
    return (opinions[near] * there).sum(1) / there.sum(1).clamp(min=1)


def told_apart(found: Tensor, label: Tensor, similar: Tensor, at: Tensor, count: int) -> Tensor:
    """Return the judge's cross entropy between labelled clips and their unlabelled neighbours.

    Both sides weigh the same; of the neighbours each counts as often as it is one. 0 where there
    are no pairs.

    Args:
        found: the judge's logits.
        label: of the clips, -1 where hidden.
        similar: of the clips at ``at`` to all.
        at: places with all labelled clips among them.
        count: neighbours of a labelled clip.

    Shapes: found [P], label [P], similar [A, P], at [A] -> [].
    """
    hidden = label < 0
    value, near = similar.masked_fill(~hidden, -torch.inf).topk(min(count, len(label)), dim=1)
    pairs = ((value > -torch.inf) & ~hidden[at][:, None]).to(found)  # [A, n]
    times = torch.zeros_like(found).index_add_(0, near.flatten(), pairs.flatten())  # [P]
    labelled = pairs.amax(1)  # [A]: 1 where a labelled clip has neighbours
    real = (labelled * F.softplus(-found[at])).sum() / labelled.sum().clamp(min=1)
    fake = (times * F.softplus(found)).sum() / times.sum().clamp(min=1)
    return (real + fake) / 2


def mean_where(value: Tensor, where: Tensor) -> Tensor:
    """Return the mean of some rows, 0 of none. Shapes: value [B], where [B] (bool) -> []."""
    return (value * where).sum() / where.sum().clamp(min=1)

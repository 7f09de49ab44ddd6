"""What a training step on skeletons costs: measured on a few clips, real or made up."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from halpgraph.data.cards import Card
from halpgraph.data.clips import Clip
from halpgraph.data.skeleton_sets import FRAMES, prepared
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.device import threads
from halpgraph.engine import Trainer
from halpgraph.layout import get_layout
from halpgraph.recipe import Recipe

CLIPS = 8  # in the batch that is timed first
QUICK = 3.0  # seconds; a whole batch that should take less is timed itself: it costs less a clip
LENGTH = 84  # frames of a made-up clip


class StepCost(NamedTuple):
    """CPU seconds of training a clip, and bytes of a batch's activations and of the weights."""

    seconds: float
    activations: float
    weights: float


def step_cost(store: SkeletonStore, recipe: Recipe) -> StepCost:
    """Time a training step of a recipe (without arms) on the CPU, one thread.

    A few clips first; where that says that a whole batch is quick, the batch itself, for it takes
    less time a clip. Activations are what autograd keeps, scaled to a whole batch.
    """
    whole = min(recipe.train.batch_size, len(store))
    first = _timed(store, recipe, min(CLIPS, whole))
    if whole > CLIPS and first.seconds * whole < QUICK:
        return _timed(store, recipe, whole)._replace(activations=first.activations)
    return first


def _timed(store: SkeletonStore, recipe: Recipe, clips: int) -> StepCost:
    """Time the second of two steps on some clips; the first warms up."""
    train = recipe.train.model_copy(
        update={"batch_size": clips, "epochs": 1, "device": "cpu", "init_from": None}
    )
    content = recipe.model_copy(update={"train": train})
    kept: dict[int, int] = {}  # bytes by address: what is kept twice takes room once

    def pack(saved: Tensor) -> Tensor:
        kept[saved.data_ptr()] = saved.numel() * saved.element_size()
        return saved

    with threads(1):
        trainer = Trainer(store.subset(list(range(clips))), content, 0)
        views = next(trainer._view_batches())
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
            trainer._step(views)
        start = time.process_time()
        trainer._step(next(trainer._view_batches()))
        spent = time.process_time() - start
    weights = sum(p.numel() for p in trainer.method.parameters()) * 4
    for parameter in trainer.method.parameters():
        kept.pop(parameter.data_ptr(), None)
    activations = sum(kept.values()) / clips * recipe.train.batch_size
    return StepCost(spent / clips, activations, 5.0 * weights)


def made_up_store(card: Card, recipe: Recipe) -> SkeletonStore:
    """Return a few clips of noise in the layout of a set that is not here, of two classes."""
    layout = get_layout(str(card.layout))
    random = np.random.default_rng(0)
    shape = (card.persons, LENGTH, layout.num_joints, len(layout.channels))
    clips = [Clip(str(i), random.normal(size=shape), i % 2) for i in range(CLIPS)]
    found = prepared(clips, layout, card.name)
    store = SkeletonStore.from_prepared(found, recipe.data.frames or FRAMES)
    return replace(store, teaches=True)  # as the training part of a split does

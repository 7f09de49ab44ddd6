"""Learning rates by hand, what may not go together, and that the optimiser is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import small_data, small_recipe

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.recipe import TrainSettings
from halpgraph.schedule import learning_rate


def rates(**settings: Any) -> list[float]:
    train = TrainSettings(lr=0.8, **settings)
    return [learning_rate(train, epoch) for epoch in range(train.epochs)]


def test_each_schedule_by_hand() -> None:
    assert rates(epochs=3) == [0.8] * 3
    steps = rates(epochs=6, schedule="step", milestones=[2, 5], gamma=0.5)
    assert steps == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.4, 0.2])
    cosine = [0.4 * (1 + math.cos(math.pi * e / 4)) for e in range(4)]
    assert rates(epochs=4, schedule="cosine") == pytest.approx(cosine)
    warm = rates(epochs=7, schedule="cosine", warmup=3)
    assert warm == pytest.approx([0.2, 0.4, 0.6, *cosine])
    both = rates(epochs=4, schedule="step", milestones=[2], warmup=1)
    assert both == pytest.approx([0.4, 0.8, 0.08, 0.08])


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"schedule": "step"}, r"train\.milestones: .* needs some"),
        ({"milestones": [2]}, r"train\.milestones: are of train\.schedule=step"),
        ({"schedule": "step", "milestones": [2, 2]}, "must increase"),
        ({"schedule": "step", "milestones": [3, 2]}, "must increase"),
        ({"schedule": "step", "milestones": [0, 2]}, "between 1 and the last epoch"),
        ({"schedule": "step", "milestones": [10]}, r"train\.epochs=10 \(got \[10\]\)"),
        ({"gamma": 0.5}, r"train\.gamma"),
        ({"warmup": 10}, r"train\.warmup: 10 leaves none"),
        ({"nesterov": True}, r"train\.nesterov: needs train\.optimizer=sgd"),
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0.0}, "a train.momentum above 0"),
        ({"init_arm": "moco"}, r"train\.init_arm: .* train\.init_from"),
        ({"clip": 0}, r"train\.clip"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], where: str) -> None:
    changes = {f"train__{key}": value for key, value in settings.items()}
    with pytest.raises(UserError, match=where):
        small_recipe(train__epochs=10, **changes)


def test_an_arm_s_own_training_is_checked_too() -> None:
    recipe = small_recipe(arms__halp__set={"train.milestones": [2]})
    with pytest.raises(UserError, match=r"train\.milestones"):
        recipe.arm("halp")


def test_the_optimiser_follows() -> None:
    changes: dict[str, Any] = {
        "train__schedule": "step",
        "train__milestones": [1],
        "train__optimizer": "sgd",
        "train__nesterov": True,
    }
    trainer = Trainer(small_data().store, small_recipe(**changes).arm("graphcl"), 0)
    group = trainer.optimizer.param_groups[0]
    assert group["nesterov"]
    for wanted in (0.01, 0.001, 0.001):
        trainer.train_epoch()
        assert group["lr"] == pytest.approx(wanted)


def test_long_gradients_are_cut_to_the_length_given() -> None:
    lengths = []
    for clip in (None, 1e-3):
        trainer = Trainer(small_data().store, small_recipe(train__clip=clip).arm("graphcl"), 0)
        trainer.train_epoch()
        grads = [p.grad.flatten() for p in trainer.parameters() if p.grad is not None]
        lengths.append(float(torch.cat(grads).norm()))
    assert lengths[0] > 1e-2
    assert lengths[1] <= 1.001e-3

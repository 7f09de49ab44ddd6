"""Fine-tuning trains the encoder, from its own weights, on clips as well as graphs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from small import small_data, small_recipe, small_skeletons

from halpgraph.building import build_method
from halpgraph.contracts import Fold, Method
from halpgraph.errors import RunError, UserError
from halpgraph.evaluators import finetune as module
from halpgraph.evaluators._sgd import batch_ends, generator_of
from halpgraph.evaluators._shares import labelled
from halpgraph.evaluators.finetune import finetune

QUICK: dict[str, Any] = {"optimizer": "adam", "drops": [], "batch_size": 16}


def maker(data, seed=0):
    recipe = small_recipe(encoder={"name": "gin", "layers": 2, "hidden": 16}).arm("graphcl")

    def build(trained: bool = True) -> Method:
        return build_method(data.store, recipe, seed if trained else seed + 100)

    return build


def fold_of(data) -> Fold:
    n = len(data.store)
    return Fold(np.arange(n - 8), np.arange(n - 8, n))


def test_separable_clips_are_learned():
    """On the training clips themselves: both the encoder and its crops work."""
    data = small_skeletons(24)
    whole = np.arange(24)
    tuner = finetune(epochs=30, lr=0.01, **QUICK)
    found = tuner.tune(maker(data), data.store, data.y, [Fold(whole, whole)], 0)
    assert found.metrics["accuracy"][0] > 0.9


def test_the_encoder_moves_and_the_trained_copy_is_left_alone():
    data = small_data()
    method = maker(data)()
    before = copy.deepcopy(method.state_dict())
    made = []

    def build(trained: bool = True) -> Method:
        made.append(copy.deepcopy(method))
        return made[-1]

    finetune(epochs=2, lr=0.01, **QUICK).tune(build, data.store, data.y, [fold_of(data)], 0)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    moved = made[-1].state_dict()
    assert any(not torch.equal(moved[k], before[k]) for k in before if "encoder" in k)
    assert all(torch.equal(moved[k], before[k]) for k in before if "projector" in k)


def test_it_starts_from_the_trained_weights_unless_from_scratch():
    data, asked = small_data(), []

    def build(trained: bool = True) -> Method:
        asked.append(trained)
        return maker(data)(trained)

    for scratch in (False, True):
        tuner = finetune(epochs=1, from_scratch=scratch, **QUICK)
        tuner.tune(build, data.store, data.y, [fold_of(data)], 0)
    assert asked == [True, False]
    assert tuner.label == "Supervised from scratch"


def test_labels_shown_are_those_of_semi():
    data, fold = small_data(), fold_of(small_data())
    tuner = finetune(epochs=1, shares=[0.25, 0.5], repeats=2, **QUICK)
    found = tuner.tune(maker(data), data.store, data.y, [fold], 7)
    for share in (0.25, 0.5):
        for draw in (0, 1):
            mine = found.chosen[0][f"{100 * share:g}%"]["labelled"][draw]
            assert mine == labelled(fold.train, data.y, share, True, 7, draw).tolist()
    assert {"accuracy", "accuracy@25%", "accuracy@50%"} <= set(found.metrics)


def test_few_labels_make_every_epoch_several_times_over(monkeypatch: pytest.MonkeyPatch):
    data, fold, seen = small_data(), fold_of(small_data()), []
    step = module._step
    monkeypatch.setattr(
        module, "_step", lambda *a: (seen.append(a[2].param_groups[0]["lr"]), step(*a))
    )
    labels = len(fold.train)
    batches = len(batch_ends(labels, 16))
    quick = {**QUICK, "drops": [1], "lr": 0.01, "epochs": 2}
    for least, times in ((0, 1), (2 * batches, 1), (2 * batches + 1, 2), (6 * batches, 3)):
        seen.clear()
        tuner = finetune(least_steps=least, **quick)
        found = tuner.tune(maker(data), data.store, data.y, [fold], 0)
        each = batches * times
        assert seen == pytest.approx([0.01] * each + [0.001] * each)
        assert len(seen) >= least
        assert found.chosen[0]["100%"]["chosen"][0]["epochs"] == 2 * times


def test_what_it_says_it_will_show_is_what_it_shows(monkeypatch) -> None:
    data, seen = small_skeletons(24), []
    shown = finetune._shown

    def count(self, store, ids, random):
        seen.append(len(ids))
        return shown(self, store, ids, random)

    monkeypatch.setattr(finetune, "_shown", count)
    tuner = finetune(epochs=2, shares=[0.5, 1.0], repeats=2, balanced=False, least_steps=5, **QUICK)
    tuner.tune(maker(data), data.store, data.y, [fold_of(data)], 0)
    assert sum(seen) == tuner.shown_clips(16) == 2 * (2 * 3 * 8 + 2 * 3 * 16)


def test_windows_are_random_within_bounds_and_drawn_from_the_generator():
    data = small_skeletons(24, persons=2)
    ids = torch.arange(10)
    tuner = finetune(min_frames=4)
    a, b, c = (tuner._shown(data.store, ids, generator_of(s)) for s in (1, 1, 2))
    assert torch.equal(a.pose, b.pose)
    assert not torch.equal(a.pose, c.pose)
    assert a.pose.shape == data.store.batch(ids).pose.shape
    middle = finetune(crop=None)._shown(data.store, ids, generator_of(1))
    assert torch.equal(middle.pose, data.store.batch(ids).pose)
    # of clips no longer than min_frames nothing is cut: all frames are stretched
    whole = finetune(min_frames=1000)
    x, y = (whole._shown(data.store, ids, generator_of(s)) for s in (1, 2))
    assert torch.equal(x.pose, y.pose)


def test_an_embedding_without_gradient_and_a_loss_that_runs_away_are_errors():
    data = small_data()
    method = maker(data)()

    class Mute(type(method)):  # type: ignore[misc]
        @torch.no_grad()
        def embed(self, batch):
            return super().embed(batch)

    method.__class__ = Mute
    with pytest.raises(UserError, match="lets no gradient through"):
        finetune(epochs=1).tune(lambda trained=True: method, data.store, data.y, [fold_of(data)], 0)
    with pytest.raises(RunError, match=r"epoch .*not finite; try a smaller lr"):
        finetune(lr=1e30).tune(maker(data), data.store, data.y, [fold_of(data)], 0)

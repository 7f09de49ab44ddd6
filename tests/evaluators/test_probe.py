"""The SGD probe against a plain PyTorch loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain import blobs

from halpgraph import registry
from halpgraph.errors import RunError
from halpgraph.evaluators._sgd import generator_of, rate, shuffled
from halpgraph.evaluators.probe import PRESETS, probe
from halpgraph.folds import stratified


def by_hand(x, y, classes, seed, *, epochs, lr, batch_size, drops, momentum, weight_decay):
    """Return weights and biases of the loop that everybody writes."""
    random = generator_of(seed)
    x, y = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    layer = torch.nn.Linear(x.size(1), classes)
    with torch.no_grad():
        layer.weight.copy_(0.01 * torch.randn(classes, x.size(1), generator=random))
        layer.bias.zero_()
    sgd = torch.optim.SGD(layer.parameters(), lr, momentum, weight_decay=weight_decay)
    steps = torch.optim.lr_scheduler.MultiStepLR(sgd, drops)
    for _ in range(epochs):
        for at in torch.randperm(len(x), generator=random).split(batch_size):
            sgd.zero_grad()
            torch.nn.functional.cross_entropy(layer(x[at]), y[at]).backward()
            sgd.step()
        steps.step()
    return layer.weight.detach(), layer.bias.detach()


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_it_is_the_plain_loop(weight_decay):
    z, y = blobs(n=70, d=5, classes=3)
    how = {"epochs": 12, "lr": 0.1, "batch_size": 16, "drops": [4, 9]}
    found = probe(**how, weight_decay=weight_decay).train(z, y, 3, 5)
    expected = by_hand(z, y, 3, 5, **how, momentum=0.9, weight_decay=weight_decay)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_presets_are_the_published_ones_and_settings_go_before():
    assert PRESETS["aimclr"] == {"epochs": 100, "lr": 3.0, "batch_size": 128, "drops": [80]}
    assert PRESETS["cmd"] == {"epochs": 80, "lr": 0.1, "batch_size": 64, "drops": [50, 70]}
    assert PRESETS["halp"] == PRESETS["cmd"] | {"lr": 0.005}
    mine = registry.evaluators.build({"name": "probe", "preset": "halp", "lr": 0.5})
    assert mine.how == PRESETS["halp"] | {"lr": 0.5}
    assert [round(rate(1.0, [50, 70], e), 9) for e in (0, 49, 50, 69, 70)] == [1, 1, 0.1, 0.1, 0.01]


def test_clouds_are_told_apart_and_seeds_differ():
    z, y = blobs(n=120, noise=0.4, classes=3)
    folds = stratified(y, 3, 0)
    one, other = (probe("aimclr", lr=0.1)(z, y, folds, seed) for seed in (0, 1))
    assert np.mean(one.metrics["accuracy"]) > 0.9
    assert not np.array_equal(one.probabilities, other.probabilities)
    assert one.chosen[0] == PRESETS["aimclr"] | {"lr": 0.1}


def test_weights_that_run_away_are_an_error():
    z, y = blobs(n=60)
    with pytest.raises(RunError, match=r"evaluators\.probe.*try less than lr 3"):
        probe("aimclr")(z * 1e30, y, stratified(y, 3, 0), 0)


def test_batches_hold_everything_once_and_none_is_of_one():
    for count in (2, 7, 9, 10, 17):
        batches = list(shuffled(count, 4, generator_of(count)))
        assert sorted(torch.cat(batches).tolist()) == list(range(count))
        assert min(map(len, batches)) > 1

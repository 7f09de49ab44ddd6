"""Steps taken without torch's preparations against torch's own, bit for bit."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from halpgraph.optimisers import Stepper, all_finite, make_optimizer
from halpgraph.recipe import TrainSettings

KINDS: list[dict[str, Any]] = [
    {"optimizer": "adam", "weight_decay": 0.01},
    {"optimizer": "adamw", "weight_decay": 0.01},
    {"optimizer": "sgd", "momentum": 0.9},
]


def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def gradients(module: nn.Module, seed: int, without: int | None = None) -> None:
    draw = torch.Generator().manual_seed(seed)
    for i, weight in enumerate(module.parameters()):
        weight.grad = None if i == without else torch.randn(weight.shape, generator=draw)


def weights(module: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lacking", [None, 0, 1])
def test_steps_are_those_of_torch(kind: dict[str, Any], lacking: int | None) -> None:
    """Also where the learning rate moves, and where a weight lacks a gradient at some steps."""
    if kind["optimizer"] == "sgd" and lacking == 0:
        pytest.skip("torch's fused SGD cannot go on after a first step without a gradient")
    settings = TrainSettings(lr=0.1, **kind)
    mine, plain = model(), model()
    optimizers = [make_optimizer(list(m.parameters()), settings) for m in (mine, plain)]
    steps = (Stepper(optimizers[0]), optimizers[1].step)
    for seed in range(6):
        for module, optimizer, step in zip((mine, plain), optimizers, steps, strict=True):
            gradients(module, seed, without=0 if seed % 3 == lacking else None)
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + seed)
            step()
    for left, right in zip(weights(mine), weights(plain), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(weights(mine)[1], weights(model())[1])


@pytest.mark.parametrize("kind", KINDS)
def test_goes_on_from_what_was_loaded_not_from_what_it_held(kind: dict[str, Any]) -> None:
    module = model()
    optimizer = make_optimizer(list(module.parameters()), TrainSettings(lr=0.1, **kind))
    step = Stepper(optimizer)
    for seed in range(3):
        gradients(module, seed)
        step()
    kept = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(module.state_dict())
    ends = []
    for _ in range(2):
        for seed in (3, 4):
            gradients(module, seed)
            step()
        ends.append(weights(module))
        optimizer.load_state_dict(kept[0])
        module.load_state_dict(kept[1])
    for left, right in zip(*ends, strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_found(bad: float) -> None:
    tensors = [torch.ones(2, 3), torch.full((4,), 1e15)]
    assert all_finite(tensors)
    tensors[1][2] = bad
    assert not all_finite(tensors)
    assert all_finite([])

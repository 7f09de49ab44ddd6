"""The two cells of a layer, stepped side by side, against PyTorch's own GRU cells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from halpgraph.encoders import _pair
from halpgraph.encoders._pair import PairOfCells, pairs_suit

apart = pytest.mark.parametrize("cached", [0, 1 << 30])  # cells one by one, or both at once
stretched = pytest.mark.parametrize("stretch", [1, 2000, 1 << 30])  # bytes: 1, 2 or all frames


def example(frames: int = 5, clips: int = 3, width: int = 4, hidden: int = 5) -> list[Tensor]:
    random = torch.Generator().manual_seed(3)
    gates = 3 * hidden
    shapes = [(frames, clips, width), (2, gates, width), (2, gates, hidden), (2, gates), (2, gates)]
    made = [torch.randn(s, generator=random, dtype=torch.float64) for s in shapes]
    return [t.requires_grad_() for t in made]


def cells(x: Tensor, *weights: Tensor) -> Tensor:
    zero = x.new_zeros(1, x.size(1), weights[1].size(2))
    sides = [[w[c] for w in weights] for c in range(2)]
    outs = [torch.gru(x, zero, side, True, 1, 0.0, True, False, False)[0] for side in sides]
    return torch.cat(outs, 2)


@apart
@stretched
@pytest.mark.parametrize(("frames", "clips"), [(5, 3), (1, 1), (2, 1)])
def test_outputs_and_slopes_are_those_of_single_cells(
    monkeypatch: Any, cached: int, stretch: int, frames: int, clips: int
) -> None:
    monkeypatch.setattr(_pair, "CACHED", cached)
    monkeypatch.setattr(_pair, "STRETCH", stretch)
    inputs = example(frames, clips)
    ours, theirs = PairOfCells.apply(*inputs), cells(*inputs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1)).double()
    mine = torch.autograd.grad((ours * weight).sum(), inputs)
    wanted = torch.autograd.grad((theirs * weight).sum(), inputs)
    for a, b in zip(mine, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@apart
def test_slopes_are_those_of_finite_differences(monkeypatch: Any, cached: int) -> None:
    monkeypatch.setattr(_pair, "CACHED", cached)
    monkeypatch.setattr(_pair, "STRETCH", 2000)
    assert torch.autograd.gradcheck(PairOfCells.apply, example())


def test_slopes_can_be_asked_for_twice_and_of_some_inputs_only() -> None:
    inputs = example()
    out = PairOfCells.apply(inputs[0].detach(), *inputs[1:]).sum()
    first = torch.autograd.grad(out, inputs[1:], retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(out, inputs[1:])))


def test_single_precision_far_from_zero() -> None:
    inputs = [8 * t.detach().float() for t in example(40, 6, 9, 16)]
    inputs = [t.requires_grad_() for t in inputs]
    ours, theirs = PairOfCells.apply(*inputs), cells(*inputs)
    assert ours.isfinite().all()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_where_it_is_used() -> None:
    x, weight = torch.zeros(2, 1, 3), torch.zeros(6, 3)
    assert pairs_suit(x, weight)
    assert not pairs_suit(x.double(), weight)
    assert not pairs_suit(x[:, :0], weight)
    assert not pairs_suit(x.bfloat16(), weight.bfloat16())
    with torch.no_grad():
        assert not pairs_suit(x, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not pairs_suit(x, weight)

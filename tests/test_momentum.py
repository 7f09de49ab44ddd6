"""The momentum twin: a copy at first, then a moving average of parameters, never a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from halpgraph.errors import UserError
from halpgraph.momentum import Momentum


class _Noise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seed", torch.tensor(3))

    def reseed(self) -> None:
        self.seed = torch.tensor(4)


def test_follows_parameters_and_keeps_buffers_of_its_own() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    twin = Momentum(net, 0.8)
    before = [p.clone() for p in net.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(twin.net.parameters(), before, strict=True))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1)
    net(torch.randn(8, 3) + 5)
    twin.update(net)
    for a, old in zip(twin.net.parameters(), before, strict=True):
        torch.testing.assert_close(a, 0.8 * old + 0.2 * (old + 1))
    assert torch.equal(twin.net[1].running_mean, torch.zeros(4))
    assert not twin(torch.randn(8, 3, requires_grad=True)).requires_grad
    assert (twin.net[1].running_mean != 0).all()
    twin.eval()
    mean = twin.net[1].running_mean.clone()
    twin(torch.randn(8, 3))
    assert torch.equal(twin.net[1].running_mean, mean)


def test_an_untouched_net_leaves_its_twin_as_it_is_to_the_bit() -> None:
    net = nn.Linear(30, 30)
    twin = Momentum(net, 0.999)
    for _ in range(10):
        twin.update(net)
    assert torch.equal(twin.net.weight, net.weight)


def test_what_draws_for_itself_draws_otherwise_in_the_twin() -> None:
    net = nn.Sequential(nn.Linear(2, 2), _Noise())
    twin = Momentum(net)
    assert (int(net[1].seed), int(twin.net[1].seed)) == (3, 4)


def test_refuses_lazy_weights_and_a_wrong_share() -> None:
    with pytest.raises(UserError, match="not made yet"):
        Momentum(nn.LazyLinear(3))
    for wrong in (-0.1, 1.1):
        with pytest.raises(UserError, match="between 0 and 1"):
            Momentum(nn.Linear(1, 1), wrong)

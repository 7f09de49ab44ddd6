"""Who learns from what: a turned gradient, and a judge whose weights stand still."""

from __future__ import annotations

import torch
from torch import nn

from halpgraph.adversary import judged, reverse


def test_reverse_turns_the_gradient_and_nothing_else() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    out = reverse(2 * x)
    assert torch.equal(out, 2 * x)
    (out**2).sum().backward()
    torch.testing.assert_close(x.grad, -8 * x.detach())


def test_a_judge_that_is_asked_does_not_learn() -> None:
    judge = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.randn(5, 4, requires_grad=True)
    assert torch.equal(judged(judge, x), judge(x))
    judged(judge, x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in judge.parameters())
    judge(x.detach()).sum().backward()
    assert all(p.grad is not None for p in judge.parameters())

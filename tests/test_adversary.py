"""Who learns from what: a turned gradient, and a maker and a judge of one walk back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from halpgraph.adversary import duel, reverse


def test_reverse_turns_the_gradient_and_nothing_else() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    out = reverse(2 * x)
    assert torch.equal(out, 2 * x)
    (out**2).sum().backward()
    torch.testing.assert_close(x.grad, -8 * x.detach())


class Judge(nn.Module):
    """Says something of each clip by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, frames: Tensor, given: int = 0) -> Tensor:
        """Return a logit a clip. Shapes: [4, B, 3] -> [B]."""
        logits: Tensor = self.net(frames.transpose(0, 1).flatten(1))[:, 0]
        return logits


@pytest.mark.parametrize("lift", [0.0, 5.0, -30.0])
def test_a_duel_moves_both_players_as_two_judgings_would(lift: float) -> None:
    torch.manual_seed(0)
    judge, maker = Judge().double(), nn.Linear(2, 12).double()
    nn.init.constant_(judge.net[2].bias, lift)
    real, noise = torch.randn(4, 5, 3).double(), torch.randn(5, 2).double()

    def made() -> Tensor:
        return maker(noise).view(5, 4, 3).transpose(0, 1)

    fooling, judging = duel(judge, real, made(), 0.3)
    (fooling + judging).backward()
    says = torch.sigmoid(judge(made()))
    wanted = -0.3 * says.log().mean()
    truth = -torch.sigmoid(judge(real)).log().mean()
    truth = truth - torch.sigmoid(-judge(made().detach())).log().mean()
    torch.testing.assert_close(fooling, wanted.float())
    torch.testing.assert_close(judging, truth.float())
    for player, loss in ((maker, wanted), (judge, truth)):
        weights = [*player.parameters()]
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            torch.testing.assert_close(weight.grad, slope, rtol=1e-3, atol=1e-12)


def test_a_duel_with_a_judge_who_is_all_too_sure_stays_finite() -> None:
    judge, made = Judge(), torch.randn(4, 5, 3, requires_grad=True)
    nn.init.constant_(judge.net[2].bias, -1000.0)
    fooling, judging = duel(judge, torch.randn(4, 5, 3), made, 1.0)
    (fooling + judging).backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()


def test_a_duel_without_slopes_tells_the_same() -> None:
    judge, real, made = Judge(), torch.randn(4, 5, 3), torch.randn(4, 5, 3)
    with torch.no_grad():
        still = duel(judge, real, made, 0.5)
    assert still == duel(judge, real, made.requires_grad_(), 0.5)

"""How well the codes of nodes and those of graphs belong together: a bound on what they share."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from halpgraph.errors import UserError


class _LocalGlobal(torch.autograd.Function):
    """One matrix of scores [N, B] is kept; its gradient is a sigmoid, written out."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, whole: Tensor, graph: Tensor) -> Tensor:
        scores = local @ whole.t()  # [N, B]
        own = scores.gather(1, graph[:, None])  # [N, 1]
        ctx.save_for_backward(local, whole, graph, scores)
        pairs = scores.numel() - len(own)  # of a node and a graph it is not of
        others = F.softplus(scores).sum() - F.softplus(own).sum()
        return others / pairs + F.softplus(-own).mean() - 2 * math.log(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        local, whole, graph, scores = ctx.saved_tensors
        own = scores.gather(1, graph[:, None])  # [N, 1]
        g = scores.sigmoid().mul_(grads[0] / (scores.numel() - len(own)))  # [N, B]
        g.scatter_(1, graph[:, None], (-own).sigmoid_().mul_(-grads[0] / len(own)))
        return g @ whole, g.t() @ local, None


def local_global(local: Tensor, whole: Tensor, graph: Tensor) -> Tensor:
    """Return minus the Jensen-Shannon estimate of what nodes and their graphs share.

    With the score ``T(i, b) = local_i . whole_b`` and ``sp(x) = log(1 + exp x)``::

        E_own   = mean over nodes i of               log 2 - sp(-T(i, graph of i))
        E_other = mean over i and all other graphs b of  sp(T(i, b)) - log 2
        loss    = E_other - E_own

    Args:
        local: codes of the nodes, of any length.
        whole: codes of the graphs.
        graph: which graph each node is of.

    Shapes: local [N, D], whole [B, D], graph [N] -> [].

    Raises:
        UserError: fewer than two graphs, so that no node has another one.

    Reference: Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019, eq. 4, https://arxiv.org/abs/1808.06670; Nowozin et al., "f-GAN",
    NeurIPS 2016, https://arxiv.org/abs/1606.00709
    """
    if len(whole) < 2:
        raise UserError(
            f"local_global: a batch of {len(whole)} has no other graph to tell nodes from; "
            "use a batch size of at least 2"
        )
    loss: Tensor = _LocalGlobal.apply(local, whole, graph)
    return loss

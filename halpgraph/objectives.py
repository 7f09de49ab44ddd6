"""Contrastive losses: pure functions, each with its equation and its source.

Every function takes rows of any length and compares directions only. Rows of zeros have no
direction; they count as orthogonal to everything, and never give NaN.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from halpgraph.errors import UserError

GENTLE = 0.025  # exponentials of unit rows' logits are at most e^40 down to this temperature


class _UnitRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, tiny: float) -> Tensor:
        length = torch.linalg.vector_norm(z, dim=1, keepdim=True)
        inverse = length.reciprocal().masked_fill_(length <= tiny, 0)  # [B, 1]
        unit: Tensor = z * inverse
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        unit, inverse = ctx.saved_tensors
        along = (grads[0] * unit).sum(dim=1, keepdim=True)  # [B, 1]
        return torch.addcmul(grads[0], unit, along, value=-1).mul_(inverse), None


def unit_rows(z: Tensor, tiny: float = 1e-12) -> Tensor:
    """Return each row at length one; rows shorter than ``tiny`` become zeros, without gradient.

    ``F.normalize`` in a third of the operators, which is what counts at ``[128, 96]``; and a row of
    zeros gets no gradient there, where ``F.normalize`` gives it 1e12 times its share.

    Shapes: z [B, D] -> [B, D].
    """
    unit: Tensor = _UnitRows.apply(z, tiny)
    return unit


class _Contrast(torch.autograd.Function):
    """Cross entropy of each row's own column, and of each column's own row, gradient written out.

    For unit rows and temperatures of ``GENTLE`` or more: no logit is so large that its exponential
    overflows, so rows and columns share one, unshifted.
    """

    @staticmethod
    def forward(
        ctx: Any, u1: Tensor, u2: Tensor, temperature: float, symmetric: bool, own_below: bool
    ) -> Tensor:
        logits = (u1 @ u2.t()).float() if u1.dtype.itemsize < 4 else u1 @ u2.t()  # [B, B]
        logits = logits.div_(temperature)
        own = logits.diagonal().mean()
        power = logits.exp_()
        if not own_below:
            power.fill_diagonal_(0)
        sums = [power.sum(dim, keepdim=True) for dim in ((1, 0) if symmetric else (1,))]
        ctx.save_for_backward(u1, u2, power, *sums)
        ctx.temperature = temperature
        logs = [below.log().mean() for below in sums]
        return ((logs[0] + logs[1]) / 2 if symmetric else logs[0]) - own

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u1, u2, power, *sums = ctx.saved_tensors
        shares = [below.reciprocal() for below in sums]
        g = power * ((shares[0] + shares[1]).div_(2) if len(shares) == 2 else shares[0])  # [B, B]
        g.diagonal().sub_(1)
        g = g.mul_(grads[0] / (len(u1) * ctx.temperature)).to(u1.dtype)
        return g @ u2, g.t() @ u1, None, None, None


def nt_xent(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    *,
    intra_view: bool = False,
    symmetric: bool = True,
    unit: bool = False,
) -> Tensor:
    """Return the normalised, temperature-scaled cross entropy (NT-Xent) of two views.

    With ``s(a, b) = cos(a, b) / temperature``, the loss of anchor i of the first view is::

        -s(z1_i, z2_i) + log sum_j exp s(z1_i, z2_j)

    the positive being among the j. ``intra_view`` puts the other rows of the anchor's own view in
    the sum as well, which is SimCLR's form; GraphCL contrasts with the other view only. (GraphCL's
    preprint had the positive in the sum; its authors corrected eq. 3, which leaves it out as their
    code does: ``graphcl_official`` with either view as the anchor.)

    Args:
        z1: first view.
        z2: second view, row i being the positive of row i of ``z1``.
        temperature: above 0.
        intra_view: whether the anchor's own view gives negatives too.
        symmetric: mean of both directions, or ``z1`` as anchors only.
        unit: promises that the rows are of length one already.

    Shapes: z1 [B, D], z2 [B, D] -> [].

    Raises:
        UserError: fewer than two rows, so that there is no negative.

    Reference: Chen et al., "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020, eq. 1, https://arxiv.org/abs/2002.05709; You et al., "Graph
    Contrastive Learning with Augmentations", NeurIPS 2020, eq. 3, https://arxiv.org/abs/2010.13902
    """
    u1, u2 = _directions(z1, z2, unit, "nt_xent")
    if temperature >= GENTLE and not intra_view:
        found: Tensor = _Contrast.apply(u1, u2, temperature, symmetric, True)
        return found
    across = u1 @ u2.t() / temperature  # [B, B]
    own1 = _without_diagonal(u1 @ u1.t() / temperature) if intra_view else None
    own2 = _without_diagonal(u2 @ u2.t() / temperature) if intra_view else None
    loss = _cross_entropy(across, own1)
    return (loss + _cross_entropy(across.t(), own2)) / 2 if symmetric else loss


def graphcl_official(
    z1: Tensor, z2: Tensor, temperature: float = 0.2, *, unit: bool = False
) -> Tensor:
    """Return the loss of GraphCL's released code: the positive is left out of the denominator.

    ``mean_i [ -s(z1_i, z2_i) + log sum_{j != i} exp s(z1_i, z2_j) ]``, in one direction. It has no
    lower bound at 0: once the positive is nearer than the negatives together, it is negative.

    Args:
        z1: the anchors (the original graphs, in the released code).
        z2: the augmented graphs.
        temperature: above 0; 0.2 in the released code for TU data sets.
        unit: promises that the rows are of length one already.

    Shapes: z1 [B, D], z2 [B, D] -> [].

    Raises:
        UserError: fewer than two rows, so that there is no negative.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, released
    code, ``unsupervised_TU``, https://github.com/Shen-Lab/GraphCL
    """
    u1, u2 = _directions(z1, z2, unit, "graphcl_official")
    if temperature >= GENTLE:
        loss: Tensor = _Contrast.apply(u1, u2, temperature, False, False)
        return loss
    across = u1 @ u2.t() / temperature  # [B, B]
    return (_without_diagonal(across).logsumexp(dim=1) - across.diagonal()).mean()


def info_nce(
    query: Tensor, key: Tensor, negatives: Tensor, temperature: float, *, unit: bool = False
) -> Tensor:
    """Return InfoNCE of each query over its own key and a set of negatives that all share.

    With ``s(a, b) = cos(a, b) / temperature``::

        mean_i [ -s(q_i, k_i) + log( exp s(q_i, k_i) + sum_j exp s(q_i, n_j) ) ]

    Args:
        query: with gradient.
        key: row i is the positive of row i of ``query``.
        negatives: one or more, the same for every query; MoCo's are past keys.
        temperature: above 0; 0.07 in MoCo.
        unit: promises that the rows are of length one already.

    Shapes: query [B, D], key [B, D], negatives [K, D] -> [].

    Raises:
        UserError: no negatives, or shapes that do not go together.

    Reference: van den Oord et al., 2018, https://arxiv.org/abs/1807.03748; He et al., "Momentum
    Contrast for Unsupervised Visual Representation Learning", CVPR 2020, eq. 1,
    https://arxiv.org/abs/1911.05722
    """
    alike = query.dim() == negatives.dim() == 2 and query.shape == key.shape
    if not alike or query.size(1) != negatives.size(1) or len(negatives) == 0:
        shapes = f"query {list(query.shape)}, key {list(key.shape)}"
        raise UserError(
            "info_nce: needs query and key [B, D] and one or more negatives [K, D], "
            f"not {shapes}, negatives {list(negatives.shape)}"
        )
    if not unit:
        query, key, negatives = unit_rows(query), unit_rows(key), unit_rows(negatives)
    positive = (query * key).sum(1) / temperature  # [B]
    others = (query @ negatives.t() / temperature).logsumexp(1)  # [B]
    return (torch.logaddexp(positive, others) - positive).mean()


def _directions(z1: Tensor, z2: Tensor, unit: bool, name: str) -> tuple[Tensor, Tensor]:
    if z1.dim() != 2 or z1.shape != z2.shape:
        raise UserError(
            f"{name}: two views of one batch need the same shape [B, D], "
            f"got {list(z1.shape)} and {list(z2.shape)}"
        )
    if z1.size(0) < 2:
        raise UserError(
            f"{name}: a batch of {z1.size(0)} has no negatives to contrast with; "
            "use a batch size of at least 2"
        )
    return (z1, z2) if unit else (unit_rows(z1), unit_rows(z2))


def _without_diagonal(logits: Tensor) -> Tensor:
    diagonal = torch.eye(logits.size(0), dtype=torch.bool, device=logits.device)
    return logits.masked_fill(diagonal, -torch.inf)


def _cross_entropy(across: Tensor, own: Tensor | None) -> Tensor:
    logits = across if own is None else torch.cat([across, own], dim=1)  # [B, B] or [B, 2B]
    return F.cross_entropy(logits, torch.arange(across.size(0), device=across.device))

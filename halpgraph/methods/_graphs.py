"""What the contrasts of whole graphs share: GraphCL's projection, and its two losses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from halpgraph.objectives import graphcl_official, nt_xent

Variant = Literal["paper", "official"]


def projector(width: int, out: int) -> nn.Sequential:
    """Return GraphCL's projection: linear, ReLU, linear; Xavier weights, zero biases."""
    return nn.Sequential(linear(width, width), nn.ReLU(inplace=True), linear(width, out))


def linear(width: int, out: int, bias: bool = True) -> nn.Linear:
    """Return a linear map of Xavier weights and zero biases."""
    made = nn.Linear(width, out, bias)
    nn.init.xavier_uniform_(made.weight)
    if bias:
        nn.init.zeros_(made.bias)
    return made


def contrast(
    query: Tensor, key: Tensor, temperature: float, variant: Variant, symmetric: bool = True
) -> Tensor:
    """Return the loss of two encodings of a batch, unit rows: with the positive below, or without.

    ``paper`` is NT-Xent, ``official`` leaves the positive out of the denominator.

    Shapes: query [B, D], key [B, D] -> [].
    """
    if variant == "paper":
        return nt_xent(query, key, temperature, symmetric=symmetric, unit=True)
    loss = graphcl_official(query, key, temperature, unit=True)
    return (loss + graphcl_official(key, query, temperature, unit=True)) / 2 if symmetric else loss


def contrasts(
    query: Tensor, key: Tensor, temperature: float, variant: Variant, symmetric: bool = True
) -> Tensor:
    """Return the loss of every graph; their mean is ``contrast``.

    Shapes: query [B, D], key [B, D] -> [B].
    """
    across = query @ key.t() / temperature  # [B, B]
    losses = _anchors(across, variant)
    return (losses + _anchors(across.t(), variant)) / 2 if symmetric else losses


def _anchors(across: Tensor, variant: Variant) -> Tensor:
    below = across
    if variant == "official":
        own = torch.eye(len(across), dtype=torch.bool, device=across.device)
        below = across.masked_fill(own, -torch.inf)
    return below.logsumexp(1) - across.diagonal()

"""Attribute masking: a share of every graph's nodes lose their features."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._base import EditView, only
from halpgraph.views._edit import Edit
from halpgraph.views._rows import where_true
from halpgraph.views._sample import share, subset


@views.register
class MaskFeatures(EditView):
    """Take the features of ``floor(ratio * n)`` nodes of every graph away, drawn uniformly.

    The paper speaks of masking; its released code writes normal noise of mean and deviation one
    half into every feature column, which ``fill: noise`` does too. Noise needs the features
    written out (``codes`` become dense columns of ``x``), so it costs more than ``zero``.

    Args:
        ratio: share of the nodes to mask.
        fill: what masked nodes carry: ``zero``, a row of zeros (the blank code), or ``noise``.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, Table 1,
    https://arxiv.org/abs/2010.13902.
    """

    def __init__(
        self,
        ratio: Annotated[float, Field(ge=0, le=1)] = 0.1,
        fill: Literal["zero", "noise"] = "zero",
    ) -> None:
        self.ratio = ratio
        self.fill = fill

    def edit(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return the nodes to be masked, and the noise they get."""
        counts = only(share(batch.ptr.diff(), self.ratio), chosen)
        masked = subset(batch.ptr, counts, generator)
        if self.fill == "zero":
            return Edit(blank=masked)
        nodes = where_true(masked)
        width = batch.x.size(1) + (batch.num_codes if batch.codes.size(1) else 0)
        noise = torch.randn(
            nodes.numel(), width, generator=generator, dtype=batch.x.dtype, device=nodes.device
        )
        return Edit(noise=(nodes, noise * 0.5 + 0.5))

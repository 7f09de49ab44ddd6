"""GraphCL: the same graph seen twice is pulled together, other graphs are pushed away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.contracts import Contrast, Encoder, Method, Step
from halpgraph.methods._graphs import Variant, contrast, projector
from halpgraph.objectives import unit_rows
from halpgraph.registry import methods


@methods.register
class GraphCL(Method):
    """Graph contrastive learning of two views.

    ``variant: paper`` contrasts two augmented views by symmetric NT-Xent, the positive being in the
    denominator as in SimCLR and in the preprint's first eq. 3 (the corrected one leaves it out:
    https://github.com/Shen-Lab/GraphCL/issues/2). ``variant: official`` is
    what the released code for TU data sets does, where the published rows come from: the recipe
    gives ``identity`` as the first view and an augmentation as the second, the original graph is
    the anchor, one direction, and the positive is left out of the denominator.

    Of the released code, ``official`` does not repeat three slips that look unintended: subgraphs
    that are stars around one node, self-loops on the original view only (its encoder sees
    ``2 x + sum`` there and ``x + sum`` on the augmented one), and graphs that vanish from a batch
    when their augmented copy is empty.

    For heads it publishes one contrast, the first view's projection as query and the second's as
    key without gradient, in both variants. The symmetric loss would allow a second one with the
    views swapped; HaLP's supplement (D), which puts it on GraphCL, does not say, and one keeps the
    head's cost and its bank of keys those of the one direction that MoCo has.

    Args:
        make_encoder: makes a fresh encoder.
        variant: which of the two losses.
        temperature: 0.2 as released for TU data sets.
        projection: width of the projections; the encoder's own where left out.

    Cost: a step encodes each graph twice with gradient.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, eq. 3,
    https://arxiv.org/abs/2010.13902; released code https://github.com/Shen-Lab/GraphCL
    """

    n_views = 2

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        variant: Variant = "paper",
        temperature: Annotated[float, Field(gt=0)] = 0.2,
        projection: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder()
        self.variant: Variant = variant
        self.temperature = temperature
        width = self.encoder.out_channels
        self.dim = projection or width
        self.projector = projector(width, self.dim)

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the contrastive loss and the contrast of two views of one batch."""
        self.need_views(views)
        graphs = torch.cat([f.graph for f in self.encoder.encode(views)])  # [2B, out_channels]
        query, key = unit_rows(self.projector(graphs)).chunk(2)  # [B, dim] each
        both = self.variant == "paper"  # directions
        loss = contrast(query, key, self.temperature, self.variant, symmetric=both)
        return Step({"graphcl": loss}, [Contrast(query, key.detach(), self.temperature)])

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's graph features, as the released code does, not the projections.

        Shapes: [B, out_channels].
        """
        graph: Tensor = self.encoder(batch).graph
        return graph

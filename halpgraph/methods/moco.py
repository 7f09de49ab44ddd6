"""MoCo: a query finds its own key among thousands of past ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.contracts import Contrast, Encoder, Method, Step
from halpgraph.methods._branch import Branch
from halpgraph.registry import methods
from halpgraph.streams import Stream


@methods.register
class MoCo(Method):
    """Momentum contrast of two views, HaLP's baseline on skeletons.

    One training step: the query of the first view, with gradient; the key encoder moves a little
    towards the query encoder (parameters only; its batch norms see the keys alone); the key of the
    second view, without gradient; InfoNCE over the own key and the bank; after the optimiser's step
    the keys enter the bank. In eval mode nothing moves and nothing is stored.

    Negatives are the keys the bank holds, however few. Before its first keys the others of the
    batch take their place. ``start: random`` fills the bank with random directions instead, as the
    released code does, so that all of it counts from the first step.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        stream: what the encoder is shown of skeletons, several side by side if joined by ``+``
            (``motion+distances``); ``joint`` shows any graphs as they are.
        temperature: of the softmax over keys.
        momentum: share of the key encoder that stays in one step.
        bank: how many past keys are kept; any number, batches need not divide it.
        projection: D of queries and keys.
        hidden: width of the projection's hidden layer; the encoder's own where left out.
        symmetric: each view gives queries and keys, and the loss is the mean of both directions.
        start: what the bank holds before the first keys.

    Cost: a step encodes each clip twice, once with gradient; four times and twice if ``symmetric``.

    Reference: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR
    2020, Alg. 1, https://arxiv.org/abs/1911.05722; settings: Shah et al., "HaLP", CVPR 2023,
    supplement F, https://arxiv.org/abs/2304.00387
    """

    n_views = 2

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        stream: Stream = "joint",
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        bank: Annotated[int, Field(ge=1)] = 16384,
        projection: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[int, Field(ge=1)] | None = None,
        symmetric: bool = False,
        start: Literal["empty", "random"] = "empty",
    ) -> None:
        super().__init__()
        self.stream, self.streams = stream, (stream,)
        self.temperature, self.dim, self.symmetric = temperature, projection, symmetric
        self.branch = Branch(
            make_encoder,
            stream,
            temperature=temperature,
            momentum=momentum,
            bank=bank,
            projection=projection,
            hidden=hidden,
            start=start,
        )

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the contrastive loss and the contrasts of two views of one batch."""
        self.need_views(views)
        branch = self.branch
        first, second = (branch.shown(view) for view in views)
        pairs = [(first, second), (second, first)] if self.symmetric else [(first, second)]
        queries = [branch.query(anchor) for anchor, _ in pairs]
        branch.follow()
        keys = [branch.key(positive) for _, positive in pairs]
        with torch.autocast(queries[0].device.type, enabled=False):
            losses = [branch.contrast(q, k) for q, k in zip(queries, keys, strict=True)]
        contrasts = [
            Contrast(q, k, self.temperature, self.stream)
            for q, k in zip(queries, keys, strict=True)
        ]
        return Step({self.name: sum(losses[1:], losses[0]) / len(losses)}, contrasts)

    def after_step(self) -> None:
        """Store the step's keys: only now has the gradient no more need of those they replace."""
        self.branch.remember()

    def embed(self, batch: Batch) -> Tensor:
        """Return the query encoder's features, before the projection. Shapes: [B, D_encoder]."""
        return self.branch.embed(batch)

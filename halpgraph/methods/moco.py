"""MoCo: a query finds its own key among thousands of past ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph.contracts import Contrast, Encoder, Method, Step
from halpgraph.errors import UserError
from halpgraph.memory import KeyBank
from halpgraph.momentum import Momentum
from halpgraph.objectives import info_nce, nt_xent, unit_rows
from halpgraph.registry import methods
from halpgraph.streams import Stream, derive


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
        stream: what the encoder is shown of skeletons; ``joint`` shows any graphs as they are.
        temperature: of the softmax over keys.
        momentum: share of the key encoder that stays in one step.
        bank: how many past keys are kept; any number, batches need not divide it.
        projection: D of queries and keys.
        hidden: width of the projection's hidden layer; the encoder's own where left out.
        symmetric: each view gives queries and keys, and the loss is the mean of both directions.
        start: what the bank holds before the first keys.

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
        self.encoder = make_encoder(stream)
        width = self.encoder.out_channels
        self.projector = nn.Sequential(
            nn.Linear(width, hidden or width), nn.ReLU(), nn.Linear(hidden or width, projection)
        )
        self.key_encoder = Momentum(self.encoder, momentum)
        self.key_projector = Momentum(self.projector, momentum)
        self.bank = KeyBank(bank, projection)
        if start == "random":
            self.bank.push(F.normalize(torch.randn(bank, projection), dim=1))
        self._fresh: list[Tensor] = []

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the contrastive loss and the contrasts of two views of one batch."""
        if len(views) != self.n_views:
            raise UserError(f"method moco: needs 2 views, got {len(views)}")
        first, second = (self._shown(view) for view in views)
        pairs = [(first, second), (second, first)] if self.symmetric else [(first, second)]
        queries = [self._query(anchor) for anchor, _ in pairs]
        if self.training:
            self.key_encoder.update(self.encoder)
            self.key_projector.update(self.projector)
        keys = [self._key(positive) for _, positive in pairs]
        with torch.autocast(queries[0].device.type, enabled=False):
            losses = [self._contrast(q, k) for q, k in zip(queries, keys, strict=True)]
        self._fresh = keys if self.training else []
        contrasts = [
            Contrast(q, k, self.temperature, self.stream)
            for q, k in zip(queries, keys, strict=True)
        ]
        return Step({"moco": sum(losses[1:], losses[0]) / len(losses)}, contrasts)

    def _contrast(self, query: Tensor, key: Tensor) -> Tensor:
        negatives = self.bank.stored
        if len(negatives) == 0:
            return nt_xent(query, key, self.temperature, symmetric=False, unit=True)
        return info_nce(query, key, negatives, self.temperature, unit=True)

    def _query(self, view: Batch) -> Tensor:
        """Return unit vectors with gradient. Shapes: [B, D]."""
        return unit_rows(self.projector(self.encoder(view).graph).float())

    @torch.no_grad()
    def _key(self, view: Batch) -> Tensor:
        """Return unit vectors without gradient. Shapes: [B, D]."""
        return unit_rows(self.key_projector(self.key_encoder(view).graph).float())

    def _shown(self, batch: Batch) -> Batch:
        return batch if self.stream == "joint" else derive(batch, self.stream)

    def after_step(self) -> None:
        """Store the step's keys: only now has the gradient no more need of those they replace."""
        for keys in self._fresh:
            self.bank.push(keys)
        self._fresh = []

    def embed(self, batch: Batch) -> Tensor:
        """Return the query encoder's features, before the projection. Shapes: [B, D_encoder]."""
        graph: Tensor = self.encoder(self._shown(batch)).graph
        return graph

"""A branch of momentum contrast: one stream's encoder and projection, their twins, their bank.

MoCo has one of them, methods of several streams one a stream; what they do with queries and keys
is the method's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph.contracts import Encoder
from halpgraph.memory import KeyBank
from halpgraph.momentum import Momentum
from halpgraph.objectives import info_nce, nt_xent, unit_rows
from halpgraph.streams import derive


class Branch(nn.Module):
    """Queries with gradient, keys of the momentum twin without, and a bank of past keys.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        stream: what the encoder is shown of skeletons; ``joint`` shows any graphs as they are.
        temperature: of the softmax over keys.
        momentum: share of the twin that stays in one step.
        bank: how many past keys are kept.
        projection: D of queries and keys.
        hidden: width of the projection's hidden layer; the encoder's own where None.
        start: what the bank holds before the first keys: nothing, or random directions.
    """

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        stream: str,
        *,
        temperature: float,
        momentum: float,
        bank: int,
        projection: int,
        hidden: int | None = None,
        start: Literal["empty", "random"] = "empty",
    ) -> None:
        super().__init__()
        self.stream, self.temperature = stream, temperature
        self.encoder = make_encoder(stream)
        self.out_channels = width = self.encoder.out_channels
        self.projector = projector(width, hidden or width, projection)
        self.key_encoder = Momentum(self.encoder, momentum)
        self.key_projector = Momentum(self.projector, momentum)
        self.bank = KeyBank(bank, projection)
        if start == "random":
            self.bank.push(F.normalize(torch.randn(bank, projection), dim=1))
        self._fresh: list[Tensor] = []

    def shown(self, batch: Batch) -> Batch:
        """Return the batch as this branch's stream shows it; derive it once and keep it."""
        return batch if self.stream == "joint" else derive(batch, self.stream)

    def query(self, shown: Batch) -> Tensor:
        """Return unit vectors with gradient. Shapes: [B, D]."""
        return self.project(self.encoder(shown).graph)

    def project(self, graph: Tensor) -> Tensor:
        """Return graph features as queries. Shapes: [B, D_encoder] -> [B, D]."""
        return unit_rows(self.projector(graph).float())

    def follow(self) -> None:
        """Move the twins a little towards their originals, before a step's keys are made.

        In eval mode they stand still.
        """
        self._fresh = []
        if self.training:
            self.key_encoder.update(self.encoder)
            self.key_projector.update(self.projector)

    @torch.no_grad()
    def key(self, shown: Batch) -> Tensor:
        """Return unit vectors of the twin, without gradient, and keep them for ``remember``.

        Shapes: [B, D].
        """
        key = unit_rows(self.key_projector(self.key_encoder(shown).graph).float())
        if self.training:
            self._fresh.append(key)
        return key

    def contrast(self, query: Tensor, key: Tensor) -> Tensor:
        """Return InfoNCE over the own key and the bank; while that is empty, over the batch.

        Shapes: query [B, D], key [B, D] -> [].
        """
        negatives = self.bank.stored
        if len(negatives) == 0:
            return nt_xent(query, key, self.temperature, symmetric=False, unit=True)
        return info_nce(query, key, negatives, self.temperature, unit=True)

    def remember(self) -> None:
        """Store the keys made since the last call: now the gradient needs no old ones any more."""
        for keys in self._fresh:
            self.bank.push(keys)
        self._fresh = []

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's features, before the projection. Shapes: [B, D_encoder]."""
        graph: Tensor = self.encoder(self.shown(batch)).graph
        return graph


def projector(width: int, hidden: int, out: int) -> nn.Sequential:
    """Return the projection of the momentum methods: linear, ReLU, linear."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out))

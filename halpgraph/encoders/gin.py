"""GIN, the encoder of InfoGraph, GraphCL and most of what followed on TU data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.batch import join, node_features, written_out
from halpgraph.contracts import Encoder, Features
from halpgraph.encoders._part_norm import relu_norm
from halpgraph.errors import UserError
from halpgraph.ops import Readout, lookup, neighbour_sum, neighbour_sum_relu, pool, weighted_sum
from halpgraph.registry import encoders

# Batches are encoded together up to this many values a layer: small ones gain, while large ones,
# which leave the caches, would lose.
JOINT_VALUES = 1 << 18


class GINLayer(nn.Module):
    """``norm(relu(W2 relu(W1 ((1 + eps) h_i + sum of neighbours' h) + b1) + b2))``."""

    def __init__(self, width: int, hidden: int, norm: str, train_eps: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, hidden)
        self.norm = nn.BatchNorm1d(hidden) if norm == "batch" else nn.Identity()
        self.eps = nn.Parameter(torch.zeros(())) if train_eps else None
        for linear in (self.inner, self.outer):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, h: Tensor | None, batch: Batch, parts: Sequence[int]) -> Tensor:
        """Return this layer's nodes; ``None`` stands for the raw features.

        Shapes: h [N, width] -> [N, hidden].
        """
        h = self.first(batch) if h is None else self.sum(h @ self.inner.weight.t(), batch)
        return relu_norm(self.outer(h), self.norm, parts)  # [N, hidden]

    def first(self, batch: Batch) -> Tensor:
        """Return the first half of the first layer, from codes and dense features.

        The sum over neighbours and the linear map commute; the sum goes over whichever of the
        two sides is narrower, and over the input side it needs no backward at all.
        """
        weight = self.inner.weight  # [hidden, num_codes + F]
        if weight.size(1) <= weight.size(0):
            x = _with_neighbours(node_features(batch), batch)
            if self.eps is not None:
                x = x + self.eps * node_features(batch)
            return F.relu(F.linear(x, weight, self.inner.bias), inplace=True)
        if batch.num_codes == 0:
            return self.sum(batch.x @ weight.t(), batch)
        table = F.pad(weight[:, : batch.num_codes].t(), (0, 0, 0, 1))  # [num_codes + 1, hidden]
        h = lookup(table, batch.codes)  # [N, hidden]; the blank code is a row of zeros
        if batch.x.size(1):
            h = h + batch.x @ weight[:, batch.num_codes :].t()
        return self.sum(h, batch)

    def sum(self, h: Tensor, batch: Batch) -> Tensor:
        """Return ``relu((1 + eps) h + A h + bias)``. Shapes: [N, hidden] -> same."""
        bias = self.inner.bias
        if self.eps is None and batch.edge_weight is None:
            return neighbour_sum_relu(h, bias, batch.edge_index[1], batch.rowptr)
        out = _with_neighbours(h, batch)
        out = out if self.eps is None else out + self.eps * h
        return F.relu(out + bias, inplace=True)


def _with_neighbours(h: Tensor, batch: Batch) -> Tensor:
    """Return ``h + A h``, edges weighted where the batch weighs them. Shapes: [N, D] -> same."""
    if batch.edge_weight is None:
        return neighbour_sum(h, batch.edge_index[1], batch.rowptr)
    return h + weighted_sum(h, batch.edge_weight, batch.edge_index[1], batch.rowptr)


@encoders.register
class GIN(Encoder):
    """Graph isomorphism network: sums over neighbours, pooled after every layer.

    Defaults are those of the published GraphCL on TU data: three layers of 32, ReLU before batch
    norm, sum readout of every layer side by side, Xavier weights, zero biases. Where a batch has
    ``edge_weight``, neighbours are weighted by it in every layer.

    Args:
        num_codes: width of the one-hot part of the features.
        in_channels: width of the dense features.
        layers: number of layers.
        hidden: width of every layer.
        norm: what follows each layer's ReLU.
        readout: how the nodes of a graph become one row.
        concatenate: whether every layer is read out, or the last one only.
        input_readout: whether the raw features are read out too, in front.
        train_eps: whether GIN's eps is learned; 0 otherwise.

    Reference: Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, eq. 4.1 and 4.2,
    https://arxiv.org/abs/1810.00826
    """

    weighs_edges = True

    def __init__(
        self,
        num_codes: int,
        in_channels: int,
        layers: Annotated[int, Field(ge=1, le=64)] = 3,
        hidden: Annotated[int, Field(ge=1, le=8192)] = 32,
        norm: Literal["batch", "none"] = "batch",
        readout: Literal["sum", "mean", "max"] = "sum",
        concatenate: bool = True,
        input_readout: bool = False,
        train_eps: bool = False,
    ) -> None:
        super().__init__()
        width = num_codes + in_channels
        if width == 0:
            raise UserError(
                "encoder gin: the nodes have no features at all; "
                "choose some in data.features (labels, attributes, degree or constant)"
            )
        self.num_codes, self.in_channels, self.hidden = num_codes, in_channels, hidden
        self.readout: Readout = readout
        self.concatenate, self.input_readout = concatenate, input_readout
        widths = [width] + [hidden] * (layers - 1)
        self.layers = nn.ModuleList(GINLayer(w, hidden, norm, train_eps) for w in widths)
        self.level_channels = [hidden] * (layers if concatenate else 1)
        self.out_channels = hidden * (layers if concatenate else 1) + width * input_readout

    def forward(self, batch: Batch) -> Features:
        """Encode a batch. Shapes: graph [B, out_channels], local [N, hidden]."""
        if "pose" in batch._store:
            batch = written_out(batch)
        self._check(batch)
        return self._encode(batch, [batch.batch.numel()])

    def encode(self, batches: Sequence[Batch]) -> list[Features]:
        """Encode several small batches in one pass; batch norm sees each by itself, in order."""
        batches = [written_out(batch) if "pose" in batch._store else batch for batch in batches]
        parts = [batch.batch.numel() for batch in batches]
        kinds = {(batch.num_codes, batch.codes.size(1)) for batch in batches}
        weighted = any(batch.edge_weight is not None for batch in batches)
        if weighted or len(kinds) != 1 or sum(parts) * self.hidden > JOINT_VALUES:
            return super().encode(batches)  # large, or some features are written out, or weighed
        for batch in batches:
            self._check(batch)
        whole = self._encode(join(batches), parts)
        graphs = whole.graph.split([batch.ptr.numel() - 1 for batch in batches])
        return [Features(*rows) for rows in zip(graphs, whole.local.split(parts), strict=True)]

    def _encode(self, batch: Batch, parts: Sequence[int]) -> Features:
        h, levels = None, []
        for layer in self.layers:
            h = layer(h, batch, parts)
            levels.append(h)
        read = levels if self.concatenate else levels[-1:]
        first = [node_features(batch)] if self.input_readout else []
        rows = [pool(level, batch.ptr, batch.batch, self.readout) for level in [*first, *read]]
        return Features(graph=torch.cat(rows, dim=1), local=levels[-1], levels=read)

    def _check(self, batch: Batch) -> None:
        if "rowptr" not in batch._store or "codes" not in batch._store:
            raise UserError(
                "encoder gin: the batch has no sorted edges (rowptr) or no codes; "
                "make it with GraphStore.batch or make_batch"
            )
        written_out = (0, self.num_codes + self.in_channels)  # as a view with noise leaves them
        found = (batch.num_codes, batch.x.size(1))
        if found not in ((self.num_codes, self.in_channels), written_out):
            raise UserError(
                f"encoder gin: made for {self.num_codes} codes and {self.in_channels} dense "
                f"features, but the batch has {batch.num_codes} and {batch.x.size(1)}; "
                "build the encoder for this data set's features"
            )

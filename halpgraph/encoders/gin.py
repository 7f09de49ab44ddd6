"""GIN, the encoder of InfoGraph, GraphCL and most of what followed on TU data sets."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.batch import node_features, written_out
from halpgraph.contracts import Encoder, Features
from halpgraph.errors import UserError
from halpgraph.ops import lookup, neighbour_sum, neighbour_sum_relu, pool
from halpgraph.registry import encoders


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

    def forward(self, h: Tensor | None, batch: Batch) -> Tensor:
        """Return this layer's nodes; ``None`` stands for the raw features.

        Shapes: h [N, width] -> [N, hidden].
        """
        if h is None:
            return self.first(batch)
        return self.rest(self.sum(h @ self.inner.weight.t(), batch))

    def first(self, batch: Batch) -> Tensor:
        """Return the nodes after the first layer, from codes and dense features.

        The sum over neighbours and the linear map commute; the sum goes over whichever of the
        two sides is narrower, and over the input side it needs no backward at all.
        """
        weight = self.inner.weight  # [hidden, num_codes + F]
        if weight.size(1) <= weight.size(0):
            x = neighbour_sum(node_features(batch), batch.edge_index[1], batch.rowptr)
            if self.eps is not None:
                x = x + self.eps * node_features(batch)
            return self.rest(F.relu(F.linear(x, weight, self.inner.bias), inplace=True))
        if batch.num_codes == 0:
            return self.rest(self.sum(batch.x @ weight.t(), batch))
        table = F.pad(weight[:, : batch.num_codes].t(), (0, 0, 0, 1))  # [num_codes + 1, hidden]
        h = lookup(table, batch.codes)  # [N, hidden]; the blank code is a row of zeros
        if batch.x.size(1):
            h = h + batch.x @ weight[:, batch.num_codes :].t()
        return self.rest(self.sum(h, batch))

    def sum(self, h: Tensor, batch: Batch) -> Tensor:
        """Return ``relu((1 + eps) h + A h + bias)``. Shapes: [N, hidden] -> same."""
        col, rowptr, bias = batch.edge_index[1], batch.rowptr, self.inner.bias
        if self.eps is None:
            return neighbour_sum_relu(h, bias, col, rowptr)
        return F.relu(neighbour_sum(h, col, rowptr) + self.eps * h + bias, inplace=True)

    def rest(self, h: Tensor) -> Tensor:
        """Return the layer's second half, ``norm(relu(outer(h)))``. Shapes: [N, hidden] -> same."""
        out: Tensor = self.norm(F.relu(self.outer(h), inplace=True))
        return out


@encoders.register
class GIN(Encoder):
    """Graph isomorphism network: sums over neighbours, pooled after every layer.

    Defaults are those of the published GraphCL on TU data: three layers of 32, ReLU before batch
    norm, sum readout of every layer side by side, Xavier weights, zero biases.

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
        self.num_codes, self.in_channels = num_codes, in_channels
        self.readout: Literal["sum", "mean", "max"] = readout
        self.concatenate, self.input_readout = concatenate, input_readout
        widths = [width] + [hidden] * (layers - 1)
        self.layers = nn.ModuleList(GINLayer(w, hidden, norm, train_eps) for w in widths)
        self.out_channels = hidden * (layers if concatenate else 1) + width * input_readout

    def forward(self, batch: Batch) -> Features:
        """Encode a batch. Shapes: graph [B, out_channels], local [N, hidden]."""
        if "pose" in batch:
            batch = written_out(batch)
        self._check(batch)
        h, levels = None, []
        for layer in self.layers:
            h = layer(h, batch)
            levels.append(h)
        read = levels if self.concatenate else levels[-1:]
        if self.input_readout:
            read = [node_features(batch), *read]
        rows = [pool(level, batch.ptr, batch.batch, self.readout) for level in read]
        return Features(graph=torch.cat(rows, dim=1), local=levels[-1])

    def _check(self, batch: Batch) -> None:
        if "rowptr" not in batch or "codes" not in batch:
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

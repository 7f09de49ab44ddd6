"""The three-layer "BiGRU" of HaLP, CMD and ISC."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.cells import Cells, cells_suit
from halpgraph.contracts import Encoder, Features
from halpgraph.encoders._input_norm import InputNorm, frame_norm
from halpgraph.encoders._poses import checked
from halpgraph.layout import Layout
from halpgraph.persons import beside
from halpgraph.registry import encoders


@encoders.register
class BiGRU(Encoder):
    """Recurrent layers of two cells each over the frames of a clip, all persons in one vector.

    The released code feeds one frame at a time, so its "backward" cells read forward in time too:
    ``causal_pair`` is exactly that, two forward-time GRUs a layer, each fed both outputs of the
    layer below. ``bidirectional`` is what the name says; pool its mean, for its last step has
    seen one frame only in the backward half.

    Args:
        in_channels: C of the stream.
        layout: of the skeletons.
        persons: M, side by side in a frame's vector; zeros for one who is not there.
        hidden: width of a cell; D is twice that, but for ``mean_max``.
        layers: number of layers.
        mode: whether the second cell of a layer reads forward or backward in time.
        pool: the ``last`` frame's output, the ``mean`` over frames, or ``mean_max``, mean and
            maximum side by side (D is then four times ``hidden``).
        concatenate: whether the outputs of every layer are pooled, side by side (D is then
            ``layers`` times as large), or the last one's only, as published.
        input_norm: batch norm of the frames: of each channel of each joint and person (``joints``,
            as in HaLP and CMD), of each channel, all joints alike (``channels``), or ``none`` (as
            in ISC).

    Reference: Shah et al., "HaLP", CVPR 2023, section 4, https://arxiv.org/abs/2304.00387, and its
    released code
    """

    takes: Literal["graph", "pose"] = "pose"

    def __init__(
        self,
        in_channels: int,
        layout: Layout,
        persons: int = 1,
        hidden: Annotated[int, Field(ge=1, le=8192)] = 1024,
        layers: Annotated[int, Field(ge=1, le=16)] = 3,
        mode: Literal["causal_pair", "bidirectional"] = "causal_pair",
        pool: Literal["last", "mean", "mean_max"] = "last",
        concatenate: bool = False,
        input_norm: InputNorm = "joints",
    ) -> None:
        super().__init__()
        self.in_channels, self.layout, self.persons = in_channels, layout, persons
        self.mode, self.pool, self.concatenate = mode, pool, concatenate
        width = persons * in_channels * layout.num_joints
        self.norm = frame_norm(input_norm, persons * in_channels, layout.num_joints)
        self.gru = nn.GRU(width, hidden, layers, bidirectional=True)
        for parameter in self.gru.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
        self.out_channels = (
            (4 if pool == "mean_max" else 2) * hidden * (layers if concatenate else 1)
        )

    def forward(self, batch: Batch) -> Features:
        """Encode a batch; ``local`` are the last layer's outputs, ``maps`` those that are pooled.

        Shapes: graph [B, D], local [B, T, 2 * hidden], maps [B, 2 * hidden or all layers', T, 1].
        """
        batch = checked(batch, "bigru", self.in_channels, self.layout, self.persons)
        x = beside(batch, self.persons)  # [T, B, M * C * V]
        frames = x.reshape(-1, self.persons * self.in_channels, self.layout.num_joints)
        x = self.norm(frames).view_as(x)
        whole = self.mode == "bidirectional" and not self.concatenate
        levels = [self.gru(x)[0]] if whole else self.levels(x)
        out = torch.cat(levels, 2) if self.concatenate else levels[-1]
        maps = out.permute(1, 2, 0)[..., None]  # [B, 2 * hidden, T, 1]
        return Features(graph=self._pooled(out), local=levels[-1].transpose(0, 1), maps=maps)

    def read(self, maps: Tensor, batch: Batch) -> Tensor:
        """Pool maps as the encoder does. Shapes: [B, 2 * hidden or all layers', T, 1] -> [B, D]."""
        return self._pooled(maps[..., 0].permute(2, 0, 1))

    def _pooled(self, out: Tensor) -> Tensor:
        """Pool over frames. Shapes: [T, B, 2 * hidden] -> [B, D]."""
        if self.pool == "last":
            return out[-1]
        mean = out.mean(0)
        return mean if self.pool == "mean" else torch.cat([mean, out.amax(0)], 1)

    def causal_pair(self, x: Tensor) -> Tensor:
        """Return the outputs of two forward-time cells a layer. Shapes: [T, B, I] -> [T, B, D]."""
        return self.levels(x)[-1]

    def levels(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of every layer. Shapes: [T, B, I] -> each [T, B, 2 * hidden]."""
        weights: list[list[Tensor]] = self.gru.all_weights  # type: ignore[assignment]
        zero = x.new_zeros(2, x.size(1), self.gru.hidden_size)
        causal, out = self.mode == "causal_pair", [x]
        side_by_side = causal and cells_suit(x, weights[0][0])
        for layer in range(self.gru.num_layers):
            pair = weights[2 * layer : 2 * layer + 2]
            if side_by_side:
                now = Cells.apply(out[-1], *map(torch.stack, zip(*pair, strict=True)))
            elif causal:
                now = torch.cat([self._gru(out[-1], zero[:1], one) for one in pair], 2)
            else:
                now = self._gru(out[-1], zero, [*pair[0], *pair[1]])
            out.append(now)
        return out[1:]

    def _gru(self, x: Tensor, state: Tensor, weights: list[Tensor]) -> Tensor:
        """Return a layer's outputs, by PyTorch's kernels.

        Shapes: x [T, B, I], state [1 or 2, B, H] -> [T, B, H or 2 * H].
        """
        both = len(state) == 2
        out: Tensor = torch.gru(x, state, weights, True, 1, 0.0, self.training, both, False)[0]
        return out

"""What methods share that make clips anew: what is hidden, a recurrent decoder, the error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph.cells import whole
from halpgraph.contracts import About, Encoder, Method
from halpgraph.errors import UserError
from halpgraph.persons import beside, there


def check_poses(method: Method, about: About | None, encoder: Encoder | None = None) -> None:
    """Fail where there are no skeletons, or an encoder that does not know their persons.

    Args:
        method: that makes sequences anew.
        about: what is known of the data.
        encoder: of the method.

    Raises:
        UserError: the data are graphs, or the encoder is one of graphs.
    """
    method.need_poses(about, "makes sequences of skeletons anew", "method graphmae for molecules")
    if encoder is not None and encoder.takes != "pose":
        raise UserError(
            f"method {method.name}: needs an encoder of skeletons; use encoder bigru, stgcn or hcn"
        )


def hide_cells(pose: Tensor, clip: Tensor, share: float, generator: Generator) -> Tensor:
    """Return poses with a share of each clip's (frame, joint) cells at zero, exactly counted.

    ``round(share * T * V)`` cells, one or more, are drawn for each clip; its bodies lose the same
    ones.

    Shapes: pose [R, T, C, V], clip [R] -> [R, T, C, V].
    """
    bodies, frames, _, joints = pose.shape
    clips = int(clip.max()) + 1 if bodies else 0
    count = max(round(share * frames * joints), 1)
    draws = torch.rand(clips, frames * joints, generator=generator, device=pose.device)
    stays = torch.ones_like(draws)
    stays.scatter_(1, draws.topk(count, dim=1, sorted=False).indices, 0.0)
    return pose * stays.view(clips, frames, 1, joints)[clip]


class Decoder(nn.Module):
    """A GRU that tells a whole clip from its feature, which it is shown again at every frame.

    Args:
        width: of the feature.
        out: numbers in a frame, ``persons * C * V``.
        hidden: width of the GRU.
        layers: of the GRU.
        given: whether it also reads a clip, frame by frame, such as the one with holes.
    """

    def __init__(
        self, width: int, out: int, hidden: int, layers: int = 1, given: bool = False
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(width, hidden)
        self.read = nn.Linear(out, hidden, bias=False) if given else None
        self.gru = nn.GRU(hidden, hidden, layers)
        self.leave = nn.Linear(hidden, out)

    def forward(self, feature: Tensor, frames: int, given: Tensor | None = None) -> Tensor:
        """Return the frames. Shapes: feature [B, D], given [T, B, out] -> [T, B, out]."""
        x = self.enter(feature)[None]  # [1, B, hidden]
        if self.read is None:
            found = whole(self.gru, x, frames)
        else:
            found = whole(self.gru, x + self.read(given))
        told: Tensor = self.leave(found)
        return told


def decoder_for(encoder: Any, hidden: int, layers: int = 1, given: bool = False) -> Decoder:
    """Return a decoder of what an encoder of poses reads."""
    return Decoder(encoder.out_channels, width_of(encoder), hidden, layers, given)


def width_of(encoder: Any) -> int:
    """Return how many numbers a frame has, all persons side by side."""
    return int(encoder.persons * encoder.in_channels * encoder.layout.num_joints)


def truth(batch: Batch, persons: int) -> tuple[Tensor, Tensor]:
    """Return what is to be told, and which columns are of a person who is there.

    Shapes: [T, B, M * C * V], [B, M * C * V].
    """
    return beside(batch, persons), there(batch, persons)


def error(told: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error over the persons who are there; others are zeros in both.

    Shapes: told, wanted [T, B, n], mask [B, n] -> [].
    """
    seen = mask.sum() * len(told)
    return F.mse_loss(told, wanted, reduction="sum") / seen.clamp_min(1)

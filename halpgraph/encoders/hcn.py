"""HCN, convolutions over a clip seen as an image: ISC's image representation."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph.contracts import Encoder, Features
from halpgraph.encoders._dropout import Dropout
from halpgraph.encoders._poses import checked
from halpgraph.errors import UserError
from halpgraph.layout import Layout
from halpgraph.persons import slots
from halpgraph.registry import encoders


class Points(nn.Module):
    """First half of the network, once for positions and once for steps: points, then joints.

    Two convolutions see one joint at a time; then joints become channels, and two more see all of
    them at once, in an image of frames by what the points' convolutions made.

    Args:
        width: channels in.
        joints: V.
        out: channels out.
        planes: what is made of each joint.
        dropout: share of the channels that are dropped.
    """

    def __init__(self, width: int, joints: int, out: int, planes: int, dropout: float) -> None:
        super().__init__()
        self.point = nn.Conv2d(width, out, 1)
        self.along = nn.Conv2d(out, planes, (3, 1), padding=(1, 0))
        self.joints = nn.Conv2d(joints, out // 2, 3, padding=1)
        self.deeper = nn.Conv2d(out // 2, out, 3, padding=1)
        self.dropout = Dropout(dropout, planes=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the image. Shapes: x [R, C, T, V] -> [R, out, T / 4, planes / 4]."""
        x = self.along(self.point(x).relu_()).permute(0, 3, 2, 1).contiguous()  # [R, V, T, planes]
        out: Tensor = self.dropout(halved(self.deeper(halved(self.joints(x)))))
        return out


@encoders.register
class HCN(Encoder):
    """Co-occurrence network: a clip as an image whose channels are the joints.

    Positions and their steps from frame to frame each go through convolutions of points (1 x 1,
    then 3 x 1 along time), after which joints take the place of channels, so that a convolution
    sees all of them at once, and through two 3 x 3 convolutions. Side by side they go through two
    more. Every 3 x 3 convolution ends in a max-pool by 2. A clip is the largest of its bodies,
    value by value; a body that is not there does not count, be it in the whole clip or in the part
    that is shown (in the released code of ISC it does, encoded as zeros).

    D is ``4 * width * rows * ceil(planes / 16)``: 4096 as published, at T = 64. There the image
    ends with T / 16 = 4 rows, which is what ``rows`` keeps of any T: more are max-pooled to that
    many, of fewer some stand twice. Any T does, and odd sizes lose nothing (the last row is pooled
    alone); ``rows`` should be near T / 16. Steps are stretched to T frames, as published; with a
    stream other than joint they are the steps of that stream.

    The order within a stage is pool, ReLU, dropout: of the published order (ReLU, dropout of whole
    channels, pool) it gives the same values for less work. Weights start as in ISC's code (Xavier,
    uniform, zero biases). There is no batch norm and no map to ``read`` again.

    Args:
        in_channels: C of the stream.
        layout: of the skeletons.
        persons: M, slots for bodies in a clip.
        width: channels of the first convolution; even. Those of the last are four times as many.
        planes: what is made of a joint, the width of the image; as published, T of the clips.
        rows: how many stretches of time the features tell apart.
        dropout: share of channels dropped after the last three convolutions.

    Raises:
        UserError: an odd ``width``.

    Reference: Li et al., "Co-occurrence Feature Learning from Skeleton Data for Action Recognition
    and Detection with Hierarchical Aggregation", IJCAI 2018, https://arxiv.org/abs/1804.06055;
    sizes as in Thoker et al., "Skeleton-Contrastive 3D Action Representation Learning", ACM MM
    2021, https://arxiv.org/abs/2108.03656, and its released code
    """

    takes: Literal["graph", "pose"] = "pose"

    def __init__(
        self,
        in_channels: int,
        layout: Layout,
        persons: int = 1,
        width: Annotated[int, Field(ge=2, le=1024)] = 64,
        planes: Annotated[int, Field(ge=1, le=1024)] = 64,
        rows: Annotated[int, Field(ge=1, le=64)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    ) -> None:
        super().__init__()
        if width % 2:
            raise UserError(f"encoder.width: must be even (got {width}); use {width + 1}")
        self.in_channels, self.layout, self.persons, self.rows = in_channels, layout, persons, rows
        sizes = (in_channels, layout.num_joints, width, planes, dropout)
        self.positions, self.steps = Points(*sizes), Points(*sizes)
        self.both = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.last = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.dropout1 = Dropout(dropout, planes=True)
        self.dropout2 = Dropout(dropout, planes=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.out_channels = 4 * width * rows * -(-planes // 16)

    def forward(self, batch: Batch) -> Features:
        """Encode a batch. Shapes: graph [B, D], local [R, rows, D / rows]: a body's stretches."""
        batch = checked(batch, "hcn", self.in_channels, self.layout, self.persons)
        image = self.image(batch.pose)  # [R, 4 width, rows, planes / 16]
        clips = batch.body_ptr.numel() - 1
        seen = (batch.pose != 0).flatten(1).any(1, keepdim=True)  # [R, 1]
        bodies = image.flatten(1) * seen
        # Where there is no body there are zeros, and after the last ReLU nothing is below zero.
        padded = bodies.new_zeros(clips * self.persons, bodies.size(1))
        padded = padded.index_copy(0, slots(batch, self.persons), bodies)
        graph = padded.view(clips, self.persons, -1).amax(1)
        return Features(graph=graph, local=image.transpose(1, 2).flatten(2))

    def image(self, pose: Tensor) -> Tensor:
        """Return every body's image. Shapes: [R, T, C, V] -> [R, 4 width, rows, planes / 16]."""
        x = pose.transpose(1, 2).contiguous()  # [R, C, T, V]
        x = torch.cat([self.positions(x), self.steps(stretched_steps(x))], dim=1)
        x = self.dropout1(halved(self.both(x)).relu_())
        x = self.dropout2(halved(self.last(x)).relu_())
        if x.size(2) != self.rows:
            x = F.adaptive_max_pool2d(x, (self.rows, x.size(3)))
        return x


def halved(x: Tensor) -> Tensor:
    """Return the largest of every 2 x 2 values; at an odd edge, of those there are."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def stretched_steps(x: Tensor) -> Tensor:
    """Return the steps between frames, stretched to as many as there are frames.

    Of a single frame they are zero. Shapes: x [R, C, T, V] -> same.
    """
    frames, joints = x.shape[2:]
    if frames == 1:
        return torch.zeros_like(x)
    steps = x[:, :, 1:] - x[:, :, :-1]
    return F.interpolate(steps, (frames, joints), mode="bilinear", align_corners=False)

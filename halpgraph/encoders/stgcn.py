"""ST-GCN, the encoder of AimCLR, CrosSCLR and most work on skeleton graphs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.contracts import Encoder, Features
from halpgraph.encoders._block import Block
from halpgraph.encoders._input_norm import InputNorm, frame_norm
from halpgraph.encoders._partitions import Partition, matrices
from halpgraph.encoders._poses import checked, mean_over_bodies
from halpgraph.errors import UserError
from halpgraph.layout import Layout
from halpgraph.persons import slots
from halpgraph.registry import encoders

Blocks = list[tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=8)]]]

PRESETS: dict[str, Blocks] = {  # (channels, stride) of each block
    "full": [(64, 1)] * 4 + [(128, 2)] + [(128, 1)] * 2 + [(256, 2)] + [(256, 1)] * 2,
    "/4": [(16, 1)] * 4 + [(32, 2)] + [(32, 1)] * 2 + [(64, 2), (64, 1), (256, 1)],
    "cpu": [(16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (128, 1)],
}


@encoders.register
class STGCN(Encoder):
    """Spatial-temporal graph convolutions: along the bones, then along time, block after block.

    Bodies are encoded one by one; a clip is the mean of its bodies.

    Args:
        in_channels: C of the stream.
        layout: of the skeletons.
        persons: M, slots for bodies in a clip.
        channels: ``full`` as published (3.1 M weights, D = 256), ``/4`` as AimCLR and CrosSCLR have
            it (0.8 M, D = 256), ``cpu`` (six blocks, D = 128), or a list of (channels, stride).
        partition: how neighbours are parted: ``stgcn`` as published, ``inout`` as meant,
            ``uniform``, ``distance``; see ``_partitions.py``.
        kernel: frames that a temporal convolution sees; odd.
        dropout: share of values dropped in every block but the first.
        empty_bodies: ``skip`` those that are not there; or ``average`` over all M slots, the empty
            ones encoded as zeros, as published.
        adaptive: learned links between any two joints, beside the skeleton's own; with ``full`` and
            ``inout`` much of A-GCN, without its data-dependent links: see ``_adaptive.py``.
        input_norm: batch norm of the frames: of each channel of each joint (``joints``, as
            published), of each channel, all joints alike (``channels``), or ``none``.
        pool: the ``mean`` over joints and frames, as published, or ``joints``, each joint's mean
            over the frames, side by side (D is then V times the last block's channels): weights are
            the same for all joints, so that their mean does not tell which of them has moved.

    Raises:
        UserError: an even ``kernel``.

    Reference: Yan et al., AAAI 2018, https://arxiv.org/abs/1801.07455; "/4" as in Guo et al., AAAI
    2022, https://arxiv.org/abs/2112.03590; ``adaptive``: Shi et al., CVPR 2019,
    https://arxiv.org/abs/1805.07694
    """

    takes: Literal["graph", "pose"] = "pose"

    def __init__(
        self,
        in_channels: int,
        layout: Layout,
        persons: int = 1,
        channels: Literal["full", "/4", "cpu"] | Annotated[Blocks, Field(min_length=1)] = "/4",
        partition: Partition = "stgcn",
        kernel: Annotated[int, Field(ge=1, le=99)] = 9,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        empty_bodies: Literal["skip", "average"] = "skip",
        adaptive: bool = False,
        input_norm: InputNorm = "joints",
        pool: Literal["mean", "joints"] = "mean",
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise UserError(f"encoder.kernel: must be odd (got {kernel}); use {kernel + 1}")
        self.in_channels, self.layout, self.persons = in_channels, layout, persons
        self.empty_bodies, self.pool = empty_bodies, pool
        adjacency = matrices(layout, partition)
        self.norm = frame_norm(input_norm, in_channels, layout.num_joints)
        self.blocks, width = nn.ModuleList(), in_channels
        for i, (out, stride) in enumerate(
            PRESETS[channels] if isinstance(channels, str) else channels
        ):
            drop = dropout if i else 0.0
            self.blocks.append(
                Block(width, out, adjacency, layout, kernel, stride, drop, i > 0, adaptive)
            )
            width = out
        self.out_channels = width * (layout.num_joints if pool == "joints" else 1)

    def forward(self, batch: Batch) -> Features:
        """Encode a batch; a joint's feature is the mean over its frames.

        Shapes: graph [B, D], local [N, d], maps [R, d, T', V], d being the last block's channels;
        with ``average`` R is B * M.
        """
        batch = checked(batch, "stgcn", self.in_channels, self.layout, self.persons)
        pose = batch.pose
        if self.empty_bodies == "average":
            clips = batch.body_ptr.numel() - 1
            padded = pose.new_zeros(clips * self.persons, *pose.shape[1:])
            padded[slots(batch, self.persons)] = pose
            pose = padded
        x = self.blocks_of(pose)  # [V, d, T', R]
        joints = x.mean(2).permute(2, 0, 1)  # [R, V, d]
        graph = self._clips(self._pooled(joints), batch)
        return Features(graph=graph, local=joints.flatten(0, 1), maps=x.permute(3, 1, 2, 0))

    def read(self, maps: Tensor, batch: Batch) -> Tensor:
        """Return maps pooled over frames, joints and bodies. Shapes: [R, d, T', V] -> [B, D]."""
        return self._clips(self._pooled(maps.mean(2).transpose(1, 2)), batch)

    def _pooled(self, joints: Tensor) -> Tensor:
        """Return each body's features of those of its joints. Shapes: [R, V, d] -> [R, D]."""
        return joints.flatten(1) if self.pool == "joints" else joints.mean(1)

    def _clips(self, bodies: Tensor, batch: Batch) -> Tensor:
        """Return the mean of each clip's bodies. Shapes: [R, D] -> [B, D]."""
        if self.empty_bodies == "average":
            slots_of_clips: Tensor = bodies.unflatten(0, (-1, self.persons))
            return slots_of_clips.mean(1)
        return mean_over_bodies(bodies, batch)

    def blocks_of(self, pose: Tensor) -> Tensor:
        """Return the map of the last block. Shapes: pose [R, T, C, V] -> [V, d, T', R]."""
        x = self.norm(pose.flatten(0, 1)).view_as(pose)  # frames [R * T, C, V]
        x = x.permute(3, 1, 0, 2).contiguous().permute(0, 3, 1, 2)  # [V, C, T, R], channels last
        for block in self.blocks:
            x = block(x)
        out: Tensor = x
        return out

"""What views of skeletons share: they see cut and resampled poses, and may be told which clips.

The bodies of a clip are changed alike, as people who stand in one room. A clip that no view has cut
is cut in its middle first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.layout import Layout
from halpgraph.linear import linear
from halpgraph.pose import by_body, clip_of_body, cut, is_raw, sampled, window_of, with_pose
from halpgraph.views._base import GraphView


def ordered(ends: tuple[float, float]) -> tuple[float, float]:
    """Return the two ends of a range, if the smaller comes first."""
    if ends[0] > ends[1]:
        raise ValueError("the smaller end first")
    return ends


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(ordered)]
Range = Annotated[tuple[float, float], AfterValidator(ordered)]


class PoseView(GraphView):
    """A view of skeletons that changes the poses of each clip with probability ``p``."""

    takes = "pose"
    p: float = 1.0

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change the chosen clips, leave the others alone: only those are worked on."""
        self.refuse(batch)
        batch = sampled(batch)
        mine, clip = lucky(batch, self.p, chosen, generator), clip_of_body(batch)
        pose: Tensor = batch.pose
        if mine is None:
            return with_pose(batch, self.pose(pose, clip, batch, generator))
        bodies = mine[clip].nonzero().view(-1)  # [r]
        some = self.pose(pose.index_select(0, bodies), clip[bodies], batch, generator)
        return with_pose(batch, pose.index_copy(0, bodies, some))

    @abstractmethod
    def pose(self, pose: Tensor, clip: Tensor, batch: Batch, generator: Generator | None) -> Tensor:
        """Return changed poses in memory of their own.

        Args:
            pose: those to be changed; left alone.
            clip: the clip of each of them, a position in the batch.
            batch: cut and resampled, for its layout and number of clips.
            generator: source of every draw, on the device of the batch.

        Shapes: pose [r, T, C, V], clip [r] -> [r, T, C, V].
        """


class LinearView(GraphView):
    """A view of skeletons that multiplies joints by matrices: several of them are one pass."""

    takes = "pose"
    p: float = 1.0

    @abstractmethod
    def matrices(self, batch: Batch, generator: Generator | None) -> Tensor:
        """Return what the coordinates of each clip's joints (rows of S numbers) are multiplied by.

        One matrix serves all joints, or each has its own. A joint whose matrix is all zeros loses
        its confidence too; other channels than coordinates are left alone.

        Args:
            batch: for its layout and number of clips; its poses may not be cut yet.
            generator: source of every draw, on the device of the batch.

        Shapes: [B, S, S, 1] or [B, S, S, V].
        """

    def parted(self, batch: Batch, generator: Generator | None) -> tuple[Tensor, Tensor | None]:
        """Return matrices, and the joints they are for (all joints: None); for other joints, none.

        Shapes: [B, S, S, 1] or [B, S, S, V], and bool [B, V].
        """
        return self.matrices(batch, generator), None

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change the chosen clips, leave the others alone."""
        return multiply(batch, [(self, chosen)], generator)


def multiply(
    batch: Batch,
    parts: Sequence[tuple[LinearView, Tensor | None]],
    generator: Generator | None,
) -> Batch:
    """Change the clips by linear views, each clip by one of them at most, in one pass.

    Args:
        batch: of skeletons.
        parts: the views, and which clips each of them changes, bool [B] (None means all).
        generator: source of every draw.
    """
    for view, _ in parts:
        view.refuse(batch)
    total, hit = unchanged(batch), None
    for view, chosen in parts:
        mine = lucky(batch, view.p, chosen, generator)
        matrix, joints = view.parted(batch, generator)
        if mine is None:
            total, hit = matrix, joints
            continue
        total = torch.where(mine[:, None, None, None], matrix, total)
        if joints is not None:
            joints = joints | ~mine[:, None]  # clips of other views: every joint
            hit = joints if hit is None else hit & joints
    total = total.expand(int(batch.num_graphs), -1, -1, -1)
    total, *rest = by_body(batch, total, *([] if hit is None else [hit]))  # [R, S, S, 1 or V]
    hit = rest[0] if rest else None  # [R, V]
    layout: Layout = batch.layout
    if is_raw(batch) and not layout.score:
        return cut(batch, *window_of(batch), int(batch.target), total, hit)
    batch = sampled(batch)
    pose: Tensor = batch.pose
    if not layout.score:
        return with_pose(batch, linear(pose, total, hit))
    stays = (total != 0).flatten(1, 2).any(1)  # [R, 1 or V]
    stays = stays if hit is None else stays | ~hit
    score = pose[:, :, layout.space :] * stays[:, None, None]
    return with_pose(batch, torch.cat([linear(pose[:, :, : layout.space], total, hit), score], 2))


def unchanged(batch: Batch) -> Tensor:
    """Return the matrix that changes nothing; not to be written into. Shapes: [1, S, S, 1]."""
    return _eye(batch.layout.space, batch.ptr.device)


@lru_cache(maxsize=16)
def _eye(space: int, device: torch.device) -> Tensor:
    return torch.eye(space, device=device)[None, :, :, None]


def lucky(
    batch: Batch, p: float, chosen: Tensor | None, generator: Generator | None
) -> Tensor | None:
    """Return which clips are changed: of the chosen, each with probability p (None means all)."""
    if p >= 1:
        return chosen
    drawn = draw(batch, generator) < p
    return drawn if chosen is None else drawn & chosen


def draw(
    batch: Batch,
    generator: Generator | None,
    *shape: int,
    ends: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Return numbers drawn uniformly from a range for every clip. Shapes: [B, *shape]."""
    out = torch.empty(int(batch.num_graphs), *shape, device=batch.ptr.device)
    return out.uniform_(*ends, generator=generator)

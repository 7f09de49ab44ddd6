"""What views of skeletons share: they see cut and resampled poses, and may be told which clips."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.pose import clip_of_body, sampled, with_pose
from halpgraph.views._base import GraphView


class PoseView(GraphView):
    """A view that changes the poses of each clip by numbers drawn for the clip.

    The bodies of a clip are changed alike, as people who stand in one room. A clip that no view has
    cut is cut in its middle first.
    """

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change the chosen clips, leave the others alone."""
        batch = sampled(poses(batch, type(self).__name__))
        pose = self.pose(batch, clip_of_body(batch), generator)
        if chosen is not None:
            mine = chosen[clip_of_body(batch)][:, None, None, None]
            pose = torch.where(mine, pose, batch.pose)
        return with_pose(batch, pose)

    @abstractmethod
    def pose(self, batch: Batch, clip: Tensor, generator: Generator | None) -> Tensor:
        """Return the changed poses, in memory of their own; ``batch.pose`` is left alone.

        Args:
            batch: cut and resampled.
            clip: the clip of each body.
            generator: source of every draw, on the device of the batch.

        Shapes: clip [R] -> [R, T, C, V].
        """


def poses(batch: Batch, name: str) -> Batch:
    """Return the batch, if it is one of skeletons.

    Raises:
        UserError: it is not.
    """
    if "pose" not in batch:
        raise UserError(
            f"views: {name} changes skeletons, these graphs have no poses; "
            "use drop_nodes, perturb_edges, subgraph or mask_features"
        )
    return batch


def draw(count: int, like: Tensor, generator: Generator | None, width: int | None = None) -> Tensor:
    """Return numbers drawn uniformly from [0, 1), one (or a row) a clip. Shapes: [B] or [B, w]."""
    shape = (count,) if width is None else (count, width)
    return torch.rand(shape, generator=generator, device=like.device)

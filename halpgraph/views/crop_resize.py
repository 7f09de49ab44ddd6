"""Temporal crop and resize: every clip shows a window of itself, resampled to T frames."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.pose import centre_window, has_window, is_raw, windowed
from halpgraph.registry import views
from halpgraph.views._base import GraphView
from halpgraph.views._pose import draw, ordered
from halpgraph.views._sample import share

Part = Annotated[float, Field(gt=0, le=1)]


@views.register
class CropResize(GraphView):
    """Cut a window of ``max(floor(r * n), min_frames)`` frames, at most n, out of every clip.

    r is drawn uniformly from ``ratio`` and the window's place uniformly among all that fit. Clips
    of up to ``min_frames`` frames are stretched, never cut, as in the released code. It must come
    first: what comes after it sees T frames.

    Args:
        ratio: least and largest share of the clip.
        min_frames: windows are not shorter than this, unless the clip is.
        frames: T; that of the data set (``data.frames``) where left out.

    Reference: HaLP, released code (feeder), https://github.com/anshulbshah/HaLP; the same in ISC,
    Thoker et al., ACM MM 2021, https://arxiv.org/abs/2108.03656.
    """

    takes = "pose"

    def __init__(
        self,
        ratio: Annotated[tuple[Part, Part], AfterValidator(ordered)] = (0.1, 1.0),
        min_frames: Annotated[int, Field(ge=1)] = 64,
        frames: Annotated[int, Field(ge=2)] | None = None,
    ) -> None:
        self.ratio, self.min_frames, self.frames = ratio, min_frames, frames

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Choose windows: of the chosen clips at random, of the others in their middle.

        What comes next cuts them, or does so while it does its own.
        """
        self.refuse(batch)
        if not is_raw(batch) or has_window(batch):
            raise UserError("views.crop_resize: the clips are cut already; it must come first")
        n = batch.num_frames
        length = share(n, draw(batch, generator, ends=self.ratio)).clamp_min_(self.min_frames)
        length = torch.minimum(length, n)
        begin = (draw(batch, generator) * (n - length + 1)).long()
        if chosen is not None:
            middle = centre_window(n)
            begin = torch.where(chosen, begin, middle[0])
            length = torch.where(chosen, length, middle[1])
        return windowed(batch, begin, length, self.frames or int(batch.target))

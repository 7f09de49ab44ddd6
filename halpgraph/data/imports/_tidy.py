"""From a clip as a file has it to one that fits its layout: units, unseen joints, channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.data.imports._source import RawClip
from halpgraph.errors import UserError
from halpgraph.layout import Layout, get_layout, layouts

UNSEEN = 0.01001  # a joint of confidence 0.01 (in half precision too) or less was not seen


class OtherLayoutError(UserError):
    """The joints or channels of a pose are not those of the layout."""


@dataclass(frozen=True)
class Tidy:
    """How clips are brought to a layout.

    ``scale`` multiplies coordinates; ``image`` (height, width) is used where a clip has none of its
    own; ``normalise`` puts the middle of the image at 0 and its edges at -1 and 1; ``nan_zero``
    takes joints that are NaN as not seen.
    """

    layout: Layout
    scale: float = 1.0
    normalise: bool = False
    image: tuple[int, int] | None = None
    nan_zero: bool = False

    def __call__(self, clip: Clip) -> Clip:
        """Return the clip, tidied; joints that were not seen are zero in every channel.

        Raises:
            UserError: no size of the image is known, where it is needed.
        """
        pose = np.asarray(clip.pose)
        if pose.ndim != 4 or not np.issubdtype(pose.dtype, np.number):
            return clip  # the writer says what is wrong with it
        score = getattr(clip, "score", None)
        score = self.layout.score if score is None else score
        pose = pose.astype(np.float32)
        space = pose.shape[3] - score
        unseen = ~pose[..., :space].any(3)  # [M, T, V]
        if self.nan_zero:
            unseen |= np.isnan(pose).any(3)
        if score and pose.shape[3] > 1:
            unseen |= pose[..., -1] <= UNSEEN
        if self.normalise:
            pose = _to_image(clip, pose, self.image)
        pose[..., :space] *= np.float32(self.scale)
        pose[unseen] = 0
        if score and not self.layout.score:
            pose = pose[..., :space]
        return Clip(clip.name, pose, clip.label, clip.fields)


def _to_image(clip: Clip, pose: NDArray[Any], image: tuple[int, int] | None) -> NDArray[Any]:
    size = clip.image if isinstance(clip, RawClip) and clip.image else image
    if size is None or min(size) <= 0:
        raise UserError(f"{clip.name}: the size of its image is not known; pass it (--image-size)")
    height, width = size
    pose[..., 0] = (pose[..., 0] - width / 2) / (width / 2)
    pose[..., 1] = (pose[..., 1] - height / 2) / (height / 2)
    return pose


def fits(clip: Clip, layout: Layout) -> bool:
    """Tell whether a tidied clip has the joints and channels of a layout."""
    want = (layout.num_joints, len(layout.channels))
    return clip.pose.ndim != 4 or clip.pose.shape[2:] == want


def mismatch(
    where: Any, found: str, joints: int, channels: int | None, layout: Layout
) -> OtherLayoutError:
    """Return the error of poses that are not those of a layout: both numbers, and what instead.

    Args:
        where: the file or clip.
        found: what it has, in words.
        joints: how many joints it has, 0 where that cannot be told.
        channels: how many channels, None where that cannot be told.
        layout: the one that was passed.
    """
    known = [get_layout(name) for name in layouts()]
    close = [
        k.name
        for k in known
        if k.num_joints == joints and (channels is None or len(k.channels) == channels)
    ]
    size = f"{joints} joints" if joints else "your joints"
    size += f" and {channels} channels" if channels else ""
    own = f"a layout file of your own with {size} (docs/own_poses.md)"
    instead = f"--layout {' or '.join(close)}, or {own}" if close else own
    return OtherLayoutError(
        f"{where}: {found}, but layout {layout.name} has {layout.num_joints} joints with "
        f"{len(layout.channels)} channels ({', '.join(layout.channels)}); pass {instead}"
    )

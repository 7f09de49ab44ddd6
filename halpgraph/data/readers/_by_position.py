"""Bodies by their position in the file, as the AGCN and CrosSCLR scripts read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.readers._skeleton_text import JOINTS, Recording


def by_position(recording: Recording, slots: int) -> NDArray[Any]:
    """Return the first ``slots`` bodies of every frame. Shapes: [M, T, V, 3].

    Where the camera's software changes the order of the bodies, a slot changes its body.
    """
    pose = np.zeros((slots, recording.frames, JOINTS, 3))
    kept = recording.slot < slots
    pose[recording.slot[kept], recording.frame[kept]] = recording.xyz[kept]
    return pose

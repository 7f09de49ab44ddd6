"""From one skeleton layout to another by the names of the joints: for transfer between sets.

The layouts that come with the package use one vocabulary (``NAMES``), so that any of them can be
mapped. A joint of the target is, in this order,

1. the joint of the same name;
2. the mean of joints that stand around it (``RULES``: the centre of the hips is the mean of both
   hips, and so on; what a rule needs may itself follow from a rule);
3. filled in: a copy of the nearest joint above it in the target's tree that 1 or 2 gave, or of the
   nearest joint of the tree where nothing above it was given. Its bone is then zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halpgraph.axes import view_axes
from halpgraph.errors import UserError
from halpgraph.layout import Layout

MIDDLE = ("hip_centre", "spine", "shoulder_centre", "neck", "head", "nose")
SIDED = (
    *("eye", "eye_inner", "eye_outer", "ear", "mouth", "shoulder", "elbow", "wrist", "hand"),
    *("hand_tip", "thumb", "index", "pinky", "hip", "knee", "ankle", "foot", "heel", "big_toe"),
    "small_toe",
)
NAMES = (*MIDDLE, *(f"{side}_{name}" for side in ("left", "right") for name in SIDED))
RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hip_centre", ("left_hip", "right_hip")),
    ("shoulder_centre", ("left_shoulder", "right_shoulder")),
    ("shoulder_centre", ("neck",)),
    ("neck", ("shoulder_centre",)),
    ("spine", ("hip_centre", "shoulder_centre")),
    ("head", ("left_ear", "right_ear")),
    ("head", ("left_eye", "right_eye")),
    ("head", ("nose",)),
    ("nose", ("head",)),
    ("SIDE_hand", ("SIDE_index", "SIDE_pinky")),
    ("SIDE_hand", ("SIDE_hand_tip",)),
    ("SIDE_hand_tip", ("SIDE_index",)),
    ("SIDE_index", ("SIDE_hand_tip",)),
    ("SIDE_foot", ("SIDE_big_toe",)),
    ("SIDE_big_toe", ("SIDE_foot",)),
)
LEAST = 0.5  # of the target's joints must be given by 1 or 2


@dataclass(frozen=True, eq=False)
class LayoutMap:
    """How poses of one layout are written in another; ``apply`` does it.

    ``same`` are the joints both have, ``averaged`` those that follow from others (which), and
    ``filled`` those that are copies of another joint of the target (which).

    Shapes: weights [V source, V target], turn [S, S].
    """

    source: Layout
    target: Layout
    weights: Tensor
    turn: Tensor
    same: tuple[str, ...] = ()
    averaged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)

    def apply(self, pose: Tensor) -> Tensor:
        """Map poses: one product with the weights, and a turn where the axes differ.

        What is made of a joint that was not seen (is zero) is zero as well. A confidence is
        averaged as the joints are, is 1 where the source has none, and goes where the target has
        none.

        Shapes: pose [R, T, C, V source] -> [R, T, C', V target]; any number of axes may stand
        before C, so the frames [S, C, V] of a whole set may be passed as well. Map poses before
        they are centred: the joint that is moved to 0 would look like one that was not seen.

        Raises:
            UserError: not poses of the source's layout.
        """
        want = (len(self.source.channels), self.source.num_joints)
        if pose.dim() < 2 or tuple(pose.shape[-2:]) != want:
            raise UserError(
                f"layout {self.source.name}: poses of {want[0]} channels and {want[1]} joints "
                f"[..., C, V] are needed, not {tuple(pose.shape)}"
            )
        space = self.source.space
        weights = self.weights.to(pose)
        out = pose @ weights  # [..., C, V target]
        seen = (pose[..., :space, :] != 0).any(-2, keepdim=True)  # [..., 1, V source]
        missed = (~seen).to(pose.dtype) @ weights > 0  # [..., 1, V target]
        moved = self.turn.to(pose) @ out[..., :space, :]  # [..., S, V target]
        parts = [moved] if not self.target.score else [moved, self._score(out, missed)]
        return torch.cat(parts, dim=-2).masked_fill(missed, 0)

    def _score(self, out: Tensor, missed: Tensor) -> Tensor:
        return out[..., -1:, :] if self.source.score else (~missed).to(out.dtype)

    def apply_clip(self, pose: NDArray[Any]) -> NDArray[Any]:
        """Map a clip. Shapes: [M, T, V source, C] -> [M, T, V target, C']."""
        planes = torch.from_numpy(np.ascontiguousarray(np.swapaxes(pose, -1, -2)))
        return np.ascontiguousarray(np.swapaxes(self.apply(planes).numpy(), -1, -2))

    def notes(self) -> list[str]:
        """Return what a report says of the mapping, a line for each joint that is not shared."""
        total = self.target.num_joints
        words = [
            f"{self.source.name} to {self.target.name}: {len(self.same)} of {total} joints shared, "
            f"{len(self.averaged)} averaged, {len(self.filled)} filled in"
        ]
        for joint, parts in self.averaged.items():
            words.append(f"{joint}: {'mean of ' if len(parts) > 1 else ''}{' and '.join(parts)}")
        words += [f"{joint}: filled in with {other}" for joint, other in self.filled.items()]
        if not torch.equal(self.turn, torch.eye(self.turn.size(0))):
            words.append(f"axes turned: {self.source.up} is up there, {self.target.up} here")
        return words


def map_layout(source: Layout, target: Layout) -> LayoutMap:
    """Find how poses of one layout are written in another.

    Why: an encoder is made for one layout; poses of another set are given to it in that one.

    Args:
        source: of the poses there are.
        target: of the poses an encoder was trained on.

    Raises:
        UserError: coordinates in the plane on one side and in space on the other, or fewer than
            half of the target's joints are given by the source's.
    """
    if source.space != target.space:
        raise UserError(
            f"layout {source.name}: {source.space} coordinates a joint, {target.name} has "
            f"{target.space}; neither depth nor a camera is made up. Pre-train on poses with "
            f"{source.space} coordinates, or convert the poses before they are imported"
        )
    rows = dict(zip(source.joints, np.eye(source.num_joints), strict=True))
    averaged = _derive(rows)
    given = [joint for joint in target.joints if joint in rows]
    if len(given) < LEAST * target.num_joints:
        missing = [joint for joint in target.joints if joint not in rows]
        raise UserError(
            f"layout {source.name}: gives only {len(given)} of the {target.num_joints} joints of "
            f"{target.name} (missing: {', '.join(missing)}); half are needed. Name the joints of "
            "your layout as the layouts that come with the package do, or choose another target"
        )
    filled = {j: _nearest(target, j, rows) for j in target.joints if j not in rows}
    columns = [rows[filled.get(joint, joint)] for joint in target.joints]
    turn = view_axes(target).T @ view_axes(source)
    return LayoutMap(
        source,
        target,
        weights=torch.tensor(np.stack(columns, 1), dtype=torch.float32),
        turn=torch.tensor(turn, dtype=torch.float32),
        same=tuple(joint for joint in target.joints if joint in source.joints),
        averaged={joint: averaged[joint] for joint in target.joints if joint in averaged},
        filled=filled,
    )


def _derive(rows: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Add what follows from the rules to ``rows``; return what each was made of."""
    made: dict[str, tuple[str, ...]] = {}
    todo = [*_rules()]
    while usable := [r for r in todo if r[0] not in rows and all(part in rows for part in r[1])]:
        name, parts = usable[0]
        rows[name] = np.mean([rows[part] for part in parts], axis=0)
        made[name] = parts
    return made


def _rules() -> Iterable[tuple[str, tuple[str, ...]]]:
    for name, parts in RULES:
        for side in ("left", "right") if name.startswith("SIDE_") else ("",):
            yield name.replace("SIDE", side), tuple(p.replace("SIDE", side) for p in parts)


def _nearest(target: Layout, joint: str, rows: dict[str, Any]) -> str:
    """Return the nearest given joint above, or the nearest one at all where there is none."""
    at = target.index(joint)
    while target.parents[at] != at:
        at = target.parents[at]
        if target.joints[at] in rows:
            return target.joints[at]
    near, seen = [target.index(joint)], {target.index(joint)}
    for at in near:  # grows: breadth first
        if target.joints[at] in rows:
            return target.joints[at]
        beside = {p for c, p in target.bones if c == at} | {c for c, p in target.bones if p == at}
        near += sorted(beside - seen)
        seen |= beside
    raise AssertionError("half of the joints are given, and the tree is connected")

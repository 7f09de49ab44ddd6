"""Floors of skeleton sets: hand-made features of the raw clips, judged as embeddings are.

``pose``, ``bone`` and ``motion`` are the coordinates themselves; ``distances`` are those between
every two joints, heights above the lowest joint and speeds, which do not change when a body turns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.data.dataset import DataSet
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.errors import UserError
from halpgraph.layout import AXES
from halpgraph.pose import clip_of_body
from halpgraph.streams import derive

POSE_FLOORS = ("pose", "bone", "motion", "distances")
FRAMES = 20  # each clip's middle, resampled
WIDTH = 200  # principal components kept
CHUNK = 512


def floor_features(kind: str, data: DataSet) -> Tensor:
    """Return the features of a floor: principal components found on what encoders are trained on.

    Shapes: [n, at most WIDTH].

    Raises:
        UserError: unknown floor, or a set of graphs.
    """
    if kind not in POSE_FLOORS:
        raise UserError(f"floors: {kind}: unknown - known: {', '.join(POSE_FLOORS)}")
    if not isinstance(data.store, SkeletonStore):
        raise UserError(f"floors: {kind} is of skeletons; {data.info['name']} is a set of graphs")
    store = replace(data.store, out_frames=FRAMES)
    rows = []
    for low in range(0, len(store), CHUNK):
        ids = torch.arange(low, min(low + CHUNK, len(store)))
        rows.append(_features(store.batch(ids), kind, store.persons))
    z = torch.cat(rows)  # [n, M * F]
    learn = z if data.fit is None else z[torch.from_numpy(data.fit)]
    return principal(z, learn, WIDTH)


def _features(batch: Batch, kind: str, persons: int) -> Tensor:
    """Return one row a clip, the bodies side by side, missing ones as zeros. Shapes: [B, M * F]."""
    if kind == "distances":
        pose = all_distances(batch)
    else:
        pose = derive(batch, "joint" if kind == "pose" else kind).pose.flatten(1)  # [R, F]
    out = pose.new_zeros(batch.num_graphs, persons, pose.size(1))
    out[clip_of_body(batch), batch.person] = pose
    return out.flatten(1)


def all_distances(batch: Batch) -> Tensor:
    """Return distances of every two joints, heights and speeds of each body. Shapes: [R, F]."""
    layout = batch.layout
    space = batch.pose[:, :, : layout.space].transpose(2, 3)  # [R, T, V, S]
    first, second = torch.triu_indices(layout.num_joints, layout.num_joints, 1)
    apart = (space[:, :, first] - space[:, :, second]).norm(dim=3)  # [R, T, pairs]
    axis, sign = AXES[layout.up]
    height = space[..., axis] * sign
    height = height - height.amin(2, keepdim=True)  # [R, T, V]
    speed = space.diff(dim=1).norm(dim=3)  # [R, T - 1, V]
    return torch.cat([apart.flatten(1), height.flatten(1), speed.flatten(1)], 1)


def principal(z: Tensor, learn: Tensor, width: int) -> Tensor:
    """Project onto the principal components of ``learn``. Shapes: z [n, F], learn [m, F]."""
    mean = learn.mean(0)
    centred = (learn - mean).double()
    small = centred.size(0) < centred.size(1)
    gram: Any = centred @ centred.T if small else centred.T @ centred
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0)[:width], vectors.flip(1)[:, :width]
    kept = values > values[0] * 1e-10
    values, vectors = values[kept], vectors[:, kept]
    axes = centred.T @ vectors / values.sqrt() if small else vectors  # [F, kept]
    axes = axes * axes.sum(0).sign()  # the same sign on every machine
    out: Tensor = ((z - mean).double() @ axes).float()
    return out

"""Skeleton batches: every body of every clip, resampled to T frames, beside the graph of its bones.

A skeleton batch is a PyG ``Batch`` as told in ``batch.py`` with

* ``pose [R, T, C, V]`` (float32): R bodies, those of clip b being ``body_ptr[b]:body_ptr[b + 1]``.
  Bodies that are never there have no row; a body that is absent for a while, and a joint that was
  not seen, is zero there. Coordinates lie in planes, so that a view or a convolution runs along
  the joints, and ``[R, T, C * V]`` is free;
* ``person [R]``: the slot (0 to M - 1) of each body, the main actor first;
* ``num_frames [B]``: how many frames each clip had; ``layout``: its ``Layout``;
* the bones of every body as ``edge_index``, nodes being the joints, ``N = R * V``; ``x`` is empty:
  ``batch.node_features`` writes the poses out as ``[N, T * C]`` for graph encoders.

Before a clip is cut and resampled it is *raw*: T is 0, ``frames [S, C, V]`` are all frames of the
store (shared, never copied) and ``start [R]`` says where each body's begin.
"""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.batch import make_batch
from halpgraph.layout import Layout

WINDOW = 0.95  # of a clip, its middle, is what embeddings are made of
TABLE = 1024  # frames; of shorter windows it is known once and for all how they are resampled
_RAW = frozenset({"frames", "start", "origin", "turn", "target"})  # what only raw batches have


@lru_cache(maxsize=64)
def bone_edges(layout: Layout) -> tuple[Tensor, Tensor]:
    """Return both directions of every bone, sorted, and where each joint's begin.

    Shapes: [2, 2 (V - 1)], [V + 1].
    """
    pairs = sorted([*layout.bones, *((p, c) for c, p in layout.bones)])
    edges = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t().contiguous()
    counts = torch.bincount(edges[0], minlength=layout.num_joints)
    return edges, torch.cat([counts.new_zeros(1), counts.cumsum(0)])


@lru_cache(maxsize=16)
def _tiled(layout: Layout, bodies: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the bones of several bodies, where each joint's begin, and whose each joint is."""
    edges, rowptr = bone_edges(layout)
    shift = torch.arange(bodies)[:, None]  # [R, 1]
    tiled = edges[:, None] + shift * layout.num_joints  # [2, R, 2 (V - 1)]
    starts = (rowptr[:-1] + shift * edges.size(1)).reshape(-1)  # [N]
    end = starts.new_full((1,), bodies * edges.size(1))
    body = shift.expand(-1, layout.num_joints).reshape(-1)  # [N]
    found = tiled.reshape(2, -1), torch.cat([starts, end]), body
    edge_index, rowptr, body = (t.to(device) for t in found)
    return edge_index, rowptr, body


def make_pose_batch(
    pose: Tensor,
    person: Tensor,
    body_ptr: Tensor,
    layout: Layout,
    single: bool = False,
    **graph_level: Tensor,
) -> Batch:
    """Put bodies together as a batch of clips (nothing is copied or checked).

    Args:
        pose: the bodies, clip after clip.
        person: slot of each body.
        body_ptr: where each clip's bodies start.
        layout: of all of them.
        single: every clip has exactly one body, which saves work.
        graph_level: ``y``, ``id``, ``num_frames``: one row a clip.

    Shapes: pose [R, T, C, V], person [R], body_ptr [B + 1].
    """
    bodies, joints = person.numel(), layout.num_joints
    room = 1 << max(bodies - 1, 63).bit_length()
    edges, rowptr, body = _tiled(layout, room, person.device)
    nodes = bodies * joints  # the bones of R bodies are the first of those of more bodies
    batch = make_batch(
        x=pose.new_empty(nodes, 0),
        codes=person.new_empty(nodes, 0),
        num_codes=0,
        edge_index=edges[:, : bodies * (edges.size(1) // room)].clone(),
        rowptr=rowptr[: nodes + 1].clone(),
        ptr=body_ptr * joints,
        batch=body[:nodes].clone() if single else None,
        **graph_level,
    )
    more = {"pose": pose, "person": person, "body_ptr": body_ptr, "layout": layout}
    for name, value in more.items():
        batch._store[name] = value
    batch._single = single
    return batch


def with_pose(batch: Batch, pose: Tensor) -> Batch:
    """Return the batch with other poses; all else is shared. Shapes: pose [R, T, C, V]."""
    out = copy.copy(batch)
    out.pose = pose
    return out


def clip_of_body(batch: Batch) -> Tensor:
    """Return the clip of each body. Shapes: [R]."""
    counts: Tensor = batch.body_ptr.diff()
    return torch.repeat_interleave(counts, output_size=batch.person.numel())


def by_body(batch: Batch, *rows: Tensor) -> list[Tensor]:
    """Return rows of clips as rows of their bodies; shared where every clip has one body.

    Shapes: [B, *] each -> [R, *] each.
    """
    if getattr(batch, "_single", False):
        return list(rows)
    clip = clip_of_body(batch)
    return [row.index_select(0, clip) for row in rows]


def is_raw(batch: Batch) -> bool:
    """Tell whether a batch still waits for being cut and resampled."""
    return "frames" in batch


def centre_window(num_frames: Tensor, window: float = WINDOW) -> tuple[Tensor, Tensor]:
    """Return first frame and length of the middle ``window`` of each clip. Shapes: [B] -> [B], [B].

    As published: ``int((1 - window) n / 2)`` frames are left out at either end.
    """
    begin = (num_frames * (1 - window) / 2).long()
    return begin, num_frames - 2 * begin


def cut(batch: Batch, begin: Tensor, length: Tensor, frames: int) -> Batch:
    """Cut a window out of every raw clip and resample it: one gather and one lerp for the batch.

    Linear in time with half-pixel centres, as ``interpolate(align_corners=False)`` does it.

    Args:
        batch: raw.
        begin: first frame of each window.
        length: frames of each window, 1 or more.
        frames: T, what they are resampled to.

    Shapes: begin, length [B] (int64).
    """
    there = batch.keys()
    begin, length = by_body(batch, begin, length)  # [R]
    pose = resample(batch.frames, batch.start + begin, length, frames)
    if "turn" in there:
        pose = place(pose, *by_body(batch, batch.origin, batch.turn))
    out = with_pose(batch, pose)
    for name in _RAW.intersection(there):
        del out[name]
    return out


def resample(frames: Tensor, first: Tensor, length: Tensor, count: int) -> Tensor:
    """Return ``count`` frames of each window, linearly interpolated.

    Shapes: frames [S, C, V], first, length [R] -> [R, count, C, V].
    """
    rows, weights = _windows(length, count)
    rows = rows.add_(first[:, None, None]).view(-1, 2)
    weights = weights.view(-1, 2)
    flat = frames.reshape(frames.size(0), -1)  # [S, C * V]
    if flat.dtype == torch.float32:
        out = F.embedding_bag(rows, flat, per_sample_weights=weights, mode="sum")
    else:
        out = flat.index_select(0, rows[:, 0]).float()
        out.lerp_(flat.index_select(0, rows[:, 1]).float(), weights[:, 1:])
    return out.view(first.numel(), count, frames.size(1), frames.size(2))


def _windows(length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the two frames of a window that each of ``count`` frames lies between, and its shares.

    Shapes: [R] -> [R, count, 2] twice, in memory of their own.
    """
    if length.device.type != "cpu" or not length.numel() or int(length.max()) >= TABLE:
        return _between(length, count)
    rows, weights = _table(count)
    return rows.index_select(0, length), weights.index_select(0, length)


@lru_cache(maxsize=4)
def _table(count: int) -> tuple[Tensor, Tensor]:
    """Return what ``_between`` says of all short windows: looking up costs less than reckoning."""
    return _between(torch.arange(TABLE), count)


def _between(length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    scale = (length / count)[:, None]  # [R, 1]
    at = torch.arange(count, device=length.device, dtype=scale.dtype)
    at = ((at + 0.5) * scale - 0.5).clamp_min_(0)  # [R, count]
    low = at.floor()
    share = at - low
    low = low.long()
    high = torch.minimum(low + 1, length[:, None] - 1)
    return torch.stack([low, high], dim=2), torch.stack([1 - share, share], dim=2)


def place(pose: Tensor, origin: Tensor, turn: Tensor) -> Tensor:
    """Move, turn and scale bodies; what is zero (not seen) stays zero.

    ``(p - origin) @ turn`` on the first S channels, S being the width of ``turn``.

    Shapes: pose [R, T, C, V], origin [R, S], turn [R, S, S].
    """
    space = turn.size(-1)
    seen = (pose[:, :, :space] != 0).any(2, keepdim=True)  # [R, T, 1, V]
    moved = pose[:, :, :space] - origin[:, None, :, None]
    moved = linear(moved, turn) * seen
    return moved if space == pose.size(2) else torch.cat([moved, pose[:, :, space:]], 2)


def linear(pose: Tensor, matrix: Tensor, hit: Tensor | None = None) -> Tensor:
    """Return ``p @ matrix`` for every joint, a matrix a body or one for each of its joints.

    What a plane gets from itself, from the next plane, and from the one after it, is added for all
    planes at once, so that little more is done than reading and writing.

    Args:
        pose: what is multiplied.
        matrix: by what.
        hit: which joints; all of them without it.

    Shapes: pose [R, T, S, V], matrix [R, S, S] or [R, S, S, V], hit [R, V] -> [R, T, S, V].
    """
    space, joints = pose.shape[2:]
    matrix = matrix.flatten(1, 2)  # [R, S * S] or [R, S * S, V]
    matrix = matrix if matrix.dim() == 3 else matrix[..., None]
    matrix = matrix.index_select(1, _steps(space, pose.device))
    if hit is not None:
        matrix = torch.where(hit[:, None], matrix, _itself(space, pose.device))
    matrix = matrix.expand(-1, -1, joints)
    weights = matrix.reshape(-1, space, 1, space * joints).unbind(1)  # S of [R, 1, S * V]
    flat = pose.flatten(2)  # [R, T, S * V]
    out = flat * weights[0]
    for step in range(1, space):
        after, rest = step * joints, (space - step) * joints
        out[..., :rest].addcmul_(flat[..., after:], weights[step][..., :rest])
        out[..., rest:].addcmul_(flat[..., :after], weights[step][..., rest:])
    return out.view(pose.shape)


@lru_cache(maxsize=16)
def _steps(space: int, device: torch.device) -> Tensor:
    """Return where, in a matrix, is what each plane gets from itself, from the next, and so on."""
    plane = torch.arange(space)
    at = (plane[:, None] + plane) % space * space + plane  # [steps, planes]
    return at.view(-1).to(device)


@lru_cache(maxsize=16)
def _itself(space: int, device: torch.device) -> Tensor:
    """Return the identity in the order of ``_steps``. Shapes: [1, S * S, 1]."""
    return torch.eye(space, device=device).view(1, -1, 1)[:, _steps(space, device)]


def sampled(batch: Batch) -> Batch:
    """Return a raw batch's middle, resampled to the T it asks for; any other batch as it is."""
    if not is_raw(batch):
        return batch
    return cut(batch, *centre_window(batch.num_frames), int(batch.target))

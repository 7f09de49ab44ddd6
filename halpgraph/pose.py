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
store (shared, never copied) and ``start [R]`` says where each body's begin. A window may be
chosen before it is cut (``window``), so that what comes next can be done in the same pass.
"""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.batch import make_batch
from halpgraph.layout import Layout
from halpgraph.linear import linear
from halpgraph.resample import resample, resample_by

WINDOW = 0.95  # of a clip, its middle, is what embeddings are made of
_RAW = frozenset(("frames", "start", "origin", "turn", "target", "window"))  # of raw batches alone


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


def cut(
    batch: Batch,
    begin: Tensor,
    length: Tensor,
    frames: int,
    matrix: Tensor | None = None,
    hit: Tensor | None = None,
) -> Batch:
    """Cut a window out of every raw clip and resample it: one gather and one lerp for the batch.

    Linear in time with half-pixel centres, as ``interpolate(align_corners=False)`` does it.

    Args:
        batch: raw.
        begin: first frame of each window.
        length: frames of each window, 1 or more.
        frames: T, what they are resampled to.
        matrix: what the poses are multiplied by then, if by anything; see ``linear``.
        hit: which joints of them.

    Shapes: begin, length [B] (int64), matrix [R, C, C] or [R, C, C, 1 or V], hit [R, V].
    """
    there = batch.keys()
    begin, length = by_body(batch, begin, length)  # [R]
    window = (batch.frames, batch.start + begin, length, frames)
    if matrix is None or "turn" in there:
        pose = resample(*window)
        if "turn" in there:
            pose = place(pose, *by_body(batch, batch.origin, batch.turn))
        pose = pose if matrix is None else linear(pose, matrix, hit)
    else:
        pose = resample_by(*window, matrix, hit)
    out = with_pose(batch, pose)
    for name in _RAW.intersection(there):
        del out[name]
    return out


def windowed(batch: Batch, begin: Tensor, length: Tensor, frames: int) -> Batch:
    """Return a raw batch that will be cut at these windows: ``cut`` put off.

    Shapes: begin, length [B] (int64).
    """
    out = copy.copy(batch)
    out._store["window"], out._store["target"] = (begin, length), frames
    return out


def has_window(batch: Batch) -> bool:
    """Tell whether a batch is raw, but knows where it will be cut."""
    return "window" in batch


def window_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return where a raw batch is to be cut: its window, or the middle. Shapes: [B], [B]."""
    found: tuple[Tensor, Tensor] = (
        batch.window if has_window(batch) else centre_window(batch.num_frames)
    )
    return found


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


def sampled(batch: Batch) -> Batch:
    """Return a raw batch cut at its window, or in its middle; any other batch as it is."""
    return cut(batch, *window_of(batch), int(batch.target)) if is_raw(batch) else batch

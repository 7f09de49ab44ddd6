"""A skeleton set as flat frames and pointers; a batch is one gather and one lerp of it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from halpgraph.data.clips import Prepared
from halpgraph.data.placement import Placement, find_placement
from halpgraph.layout import Layout
from halpgraph.pose import bone_edges, make_pose_batch, place, sampled
from halpgraph.streams import stream_channels

IN_MEMORY = 1 << 30  # bytes of float32; larger sets stay on the disk
CHUNK_VALUES = 5 << 18  # numbers of several batches that views work on at once


@dataclass(frozen=True, eq=False)
class SkeletonStore:
    """Skeleton clips; letters are those of ``batch.py`` and ``pose.py``.

    ``out_frames`` is T of every batch; a batch is made of the middle 95 % of each clip, unless a
    view cuts another window. ``id`` is the position in the data set, kept through ``subset``.
    Frames are float32, or float16 (which is read as float32), perhaps mapped from the disk.
    ``teaches`` tells whether labels may be learnt from: those of the training part of a split.

    Shapes: frames [S, C, V], start [R], body_ptr [n + 1], person [R], num_frames [n], id [n],
    y [n] or None.
    """

    frames: Tensor
    start: Tensor
    body_ptr: Tensor
    person: Tensor
    num_frames: Tensor
    id: Tensor
    layout: Layout
    out_frames: int = 64
    persons: int = 1
    y: Tensor | None = None
    placement: Placement | None = None
    teaches: bool = False

    num_codes = 0

    @classmethod
    def from_prepared(
        cls,
        found: Prepared,
        frames: int = 64,
        centre: str = "first",
        align: str = "none",
        scale: str = "none",
    ) -> SkeletonStore:
        """Make a store of a prepared set: placed in memory where it fits, mapped where not.

        Args:
            found: the set.
            frames: T of every batch.
            centre: see ``find_placement``; so are ``align`` and ``scale``.
            align: which way bodies face.
            scale: how large they are.
        """
        with warnings.catch_warnings():  # mapped read-only: nothing here writes into it
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            flat = torch.from_numpy(found.frames)
        body_ptr = torch.from_numpy(found.body_ptr)
        start = torch.from_numpy(found.frame_ptr[:-1])
        num_frames = torch.from_numpy(found.num_frames)
        how: Any = {"centre": centre, "align": align, "scale": scale}
        main = start[body_ptr[:-1]]
        placement = find_placement(flat, main, num_frames, found.layout, **how)
        store = cls(
            frames=flat,
            start=start,
            body_ptr=body_ptr,
            person=torch.from_numpy(found.person),
            num_frames=num_frames,
            id=torch.arange(len(found)),
            layout=found.layout,
            out_frames=frames,
            persons=int(found.person.max()) + 1,
            y=None if found.y is None else torch.from_numpy(found.y),
            placement=placement,
        )
        return store._in_memory() if flat.numel() * 4 <= IN_MEMORY else store

    def _in_memory(self) -> SkeletonStore:
        frames = self.frames.float().clone()
        if self.placement is not None:
            counts = self.body_ptr.diff()
            clip = torch.arange(len(self)).repeat_interleave(counts)  # [R]
            clip = clip.repeat_interleave(self.num_frames[clip])  # [S]
            origin, turn = self.placement.origin[clip], self.placement.turn[clip]
            frames = place(frames[:, None], origin, turn)[:, 0].contiguous()
        return replace(self, frames=frames, placement=None)

    def __len__(self) -> int:
        return self.num_frames.numel()

    @property
    def ptr(self) -> Tensor:
        """Return where each clip's joints start, all bodies counted. Shapes: [n + 1]."""
        return self.body_ptr * self.layout.num_joints

    @property
    def chunk_nodes(self) -> int:
        """Return how many joints views work on at once."""
        return max(CHUNK_VALUES // (self.out_frames * self.frames.size(1)), 1)

    def inputs(self, takes: str, stream: str = "joint") -> dict[str, Any]:
        """Return what an encoder is told of the data, by what it takes (``graph``, ``pose``)."""
        channels = stream_channels(stream, self.layout)
        if takes == "graph":
            return {"num_codes": 0, "in_channels": channels * self.out_frames}
        return {"in_channels": channels, "layout": self.layout, "persons": self.persons}

    def source(self, ids: Tensor) -> Batch:
        """Return clips as views want them: raw, not yet cut and resampled. Shapes: ids [B]."""
        if ids.dtype != torch.long:
            raise TypeError(f"ids must be int64 positions of clips, not {ids.dtype}")
        if ids.numel():
            least, most = torch.stack(ids.aminmax()).tolist()
            if least < 0 or most >= len(self):
                raise IndexError(f"clips {least} to {most} of {len(self)} (from 0)")
        bodies, body_ptr = self._bodies(ids)
        person = self.person[bodies]
        empty = self.frames.new_empty((person.numel(), 0, *self.frames.shape[1:]))
        extra = {} if self.y is None else {"y": self.y[ids]}
        batch = make_pose_batch(
            empty,
            person,
            body_ptr,
            self.layout,
            self._single,
            id=self.id[ids],
            num_frames=self.num_frames[ids],
            **extra,
        )
        raw = {"frames": self.frames, "start": self.start[bodies], "target": self.out_frames}
        for name, value in raw.items():
            batch._store[name] = value
        if self.placement is not None:
            batch.origin, batch.turn = self.placement.origin[ids], self.placement.turn[ids]
        return batch

    @cached_property
    def _single(self) -> bool:
        """Whether every clip has exactly one body."""
        return len(self.person) == len(self) and bool((self.body_ptr.diff() == 1).all())

    def _bodies(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bodies of some clips, and where each clip's start. Shapes: [R], [B + 1]."""
        if self._single:
            return ids, torch.arange(ids.numel() + 1, device=ids.device)
        first = self.body_ptr[ids]
        counts = self.body_ptr[ids + 1] - first  # [B]
        body_ptr = counts.new_zeros(ids.numel() + 1)
        torch.cumsum(counts, 0, out=body_ptr[1:])
        shift = (first - body_ptr[:-1]).repeat_interleave(counts)
        return shift + torch.arange(shift.numel(), device=ids.device), body_ptr

    def finish(self, batch: Batch) -> Batch:
        """Cut and resample what no view has."""
        return sampled(batch)

    def batch(self, ids: Tensor | None = None) -> Batch:
        """Return the middle of some clips (all without ``ids``), resampled. Shapes: ids [B]."""
        if ids is None:
            ids = torch.arange(len(self), device=self.start.device)
        return sampled(self.source(ids))

    def __getitem__(self, index: int) -> Data:
        """Return one clip, its own frames kept: x [M * V, frames, C], person [M * V]."""
        index = range(len(self))[index]
        bodies = slice(int(self.body_ptr[index]), int(self.body_ptr[index + 1]))
        count, joints = int(self.num_frames[index]), self.layout.num_joints
        rows = self.start[bodies, None] + torch.arange(count, device=self.start.device)
        pose = self.frames[rows].float()  # [R, T, C, V]
        if self.placement is not None:
            one = slice(index, index + 1)
            shape = (len(pose), -1)
            origin = self.placement.origin[one].expand(*shape)
            pose = place(pose, origin, self.placement.turn[one].expand(*shape, -1))
        x = pose.permute(0, 3, 1, 2).reshape(-1, count, pose.size(2))  # [M * V, T, C]
        edges = bone_edges(self.layout)[0]
        shift = joints * torch.arange(len(pose))
        extra = {} if self.y is None else {"y": self.y[index : index + 1].clone()}
        return Data(
            x=x,
            edge_index=(edges[:, None] + shift[:, None]).reshape(2, -1),
            person=self.person[bodies].repeat_interleave(joints),
            num_frames=count,
            id=self.id[index : index + 1].clone(),
            **extra,
        )

    def to(self, device: torch.device | str) -> SkeletonStore:
        """Return the store on a device; a mapped set is read into the device's memory."""
        if torch.device(device) == self.frames.device:
            return self
        moved: dict[str, Any] = {
            item.name: value.to(device)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        if self.placement is not None:
            place_ = self.placement
            moved["placement"] = Placement(place_.origin.to(device), place_.turn.to(device))
        return replace(self, **moved)

    def subset(self, ids: Sequence[int] | Tensor) -> SkeletonStore:
        """Return a store of some of the clips; frames are shared. Shapes: ids [B]."""
        at = torch.as_tensor(ids, dtype=torch.long, device=self.start.device)
        some = self.source(at)
        place_ = self.placement
        return replace(
            self,
            start=some.start,
            body_ptr=some.body_ptr,
            person=some.person,
            num_frames=some.num_frames,
            id=some.id,
            y=None if self.y is None else self.y[at],
            placement=None if place_ is None else Placement(place_.origin[at], place_.turn[at]),
        )

    def fingerprint(self) -> str:
        """Return the sha256 of the clips' frames, placement and labels."""
        total = hashlib.sha256(f"{self.layout.content()} {self.out_frames}".encode())
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                total.update(f"{item.name} {value.dtype} {tuple(value.shape)}".encode())
                total.update(value.detach().cpu().contiguous().numpy().data)
        for value in (vars(self.placement) if self.placement else {}).values():
            total.update(value.cpu().contiguous().numpy().data)
        return total.hexdigest()

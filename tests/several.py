"""Small methods of several streams, and what they are trained on, for their tests."""

from __future__ import annotations

from typing import Any

import torch
from small import small_recipe, small_skeletons
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.encoders.bigru import BiGRU
from halpgraph.engine import Trainer
from halpgraph.methods._streams import SeveralStreams
from halpgraph.objectives import unit_rows
from halpgraph.pose import with_pose

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
ENCODER = {"name": "bigru", "hidden": 6, "layers": 1, "pool": "mean"}
BATCH = 6


def store() -> SkeletonStore:
    """Return 36 small clips."""
    found = small_skeletons().store
    assert isinstance(found, SkeletonStore)
    return found


def make(name: str, seed: int = 0, **settings: Any) -> SeveralStreams:
    """Return a method with banks of 20 keys of 8 numbers."""
    torch.manual_seed(seed)
    wired = store()

    def encoder(stream: str) -> BiGRU:
        spec = ENCODER | {"hidden": 4 + len(stream) % 3}  # widths that tell the streams apart
        made: BiGRU = registry.encoders.build(spec, **wired.inputs("pose", stream))
        return made

    spec = {"name": name, "bank": 20, "projection": 8, "momentum": 0.9, **settings}
    method: SeveralStreams = registry.methods.build(spec, "method", make_encoder=encoder)
    return method


def clips(i: int, count: int = BATCH) -> list[Batch]:
    """Return two views of a batch: the clips, and the same in noise."""
    batch = store().batch(torch.arange(i * count, (i + 1) * count) % 36)
    noise = torch.randn(batch.pose.shape, generator=torch.Generator().manual_seed(i))
    return [batch, with_pose(batch, batch.pose + 0.1 * noise)]


def directions(rows: int, seed: int, streams: int = 3) -> list[Tensor]:
    """Return unit vectors of 8 numbers for each stream."""
    random = torch.Generator().manual_seed(seed)
    return [unit_rows(torch.randn(rows, 8, generator=random)) for _ in range(streams)]


def filled(method: SeveralStreams, rows: int = 20, seed: int = 7) -> list[Tensor]:
    """Fill the banks; returns what they hold, in order."""
    held = directions(rows, seed, len(method.streams))
    for branch, keys in zip(method.each, held, strict=True):
        branch.bank.push(keys)
    return held


def trainer(name: str, head: bool = True, **changes: Any) -> Trainer:
    """Return a training on the small clips, two thirds of them."""
    own = {"start": 1} if name == "crosclr" else {"neighbours": 10}
    method = {"name": name, "bank": 40, "momentum": 0.9, "projection": 16, **own}
    made = {"method": method, "encoder": ENCODER, "head__bank": 32, **changes}
    recipe = small_recipe(**made).model_copy(update={"views": [CROP]})
    return Trainer(small_skeletons().fit_store, recipe.arm("halp" if head else "graphcl"), 0)

"""What the tests of graph methods share: a small training, its twin from a file, its weights."""

from __future__ import annotations

from typing import Any

import torch
from small import small_data, small_recipe
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.contracts import About, Method
from halpgraph.encoders.gin import GIN
from halpgraph.engine import Trainer


def make(name: str, about: About | None = None, **settings: Any) -> Method:
    """Return a method on GIN for the batches of ``toy.toy_batch``: 5 codes, 3 dense features."""
    torch.manual_seed(0)

    def make_encoder(stream: str = "joint", spec: dict[str, Any] | None = None) -> GIN:
        other = {k: v for k, v in (spec or {"hidden": 8}).items() if k != "name"}
        return GIN(num_codes=5, in_channels=3, **other)

    wired = {"make_encoder": make_encoder, "about": about or About(width=8)}
    method: Method = registry.methods.build({"name": name, **settings}, "method", **wired)
    return method


def trainer(
    name: str, head: bool = True, views: list[Any] | None = None, **changes: Any
) -> Trainer:
    """Return a training of 40 small graphs with GIN, with or without the HaLP head."""
    method, settings = {"name": name}, {}
    for key, value in changes.items():
        settings |= {key: value} if "__" in key else {}
        method |= {} if "__" in key else {key: value}
    settings = {"method": method, "head__prototypes": 4, **settings}
    recipe = small_recipe(**settings).model_copy(update={"views": views} if views else {})
    return Trainer(small_data().store, recipe.arm("halp" if head else "graphcl"), 0)


def gradients(method: Method, views: list[Batch]) -> dict[str, float]:
    """Return how large the gradient of each parameter is after one backward pass."""
    method.zero_grad()
    torch.stack(list(method(views).terms.values())).sum().backward()
    return {
        name: 0.0 if p.grad is None else float(p.grad.abs().sum())
        for name, p in method.named_parameters()
    }

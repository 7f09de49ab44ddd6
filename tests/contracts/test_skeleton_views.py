"""Contracts of views over skeletons: every registered view that does not take graphs alone."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest
import torch
from small import small_skeletons
from toy import check_batch

from halpgraph import registry
from halpgraph.contracts import View
from halpgraph.pose import clip_of_body, sampled

NEEDED: dict[str, dict[str, Any]] = {
    "choice": {"of": ["joint_mask", "shear"]},
    "compose": {"of": [{"name": "crop_resize", "min_frames": 4}, "shear"]},
    "crop_resize": {"min_frames": 4},  # the small clips have 12 to 40 frames
}
NAMES = [
    n for n in registry.views.names() if getattr(registry.views.get(n), "takes", "") != "graph"
]
KEPT = ("edge_index", "ptr", "body_ptr", "person", "num_frames", "id", "y")


def built(name: str) -> View:
    view: View = registry.views.build({"name": name, **NEEDED.get(name, {})})
    return view


def raw(ids: list[int] | None = None) -> Any:
    store = small_skeletons(persons=2, layout="ntu25").store
    return store.source(torch.arange(36) if ids is None else torch.tensor(ids))


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", NAMES)
class TestView:
    def batch(self, name: str, cut: bool, ids: list[int] | None = None) -> Any:
        if cut and name in ("crop_resize", "compose"):
            pytest.skip("cuts windows itself")
        return sampled(raw(ids)) if cut else raw(ids)

    def apply(self, name: str, batch: Any, seed: int = 0) -> Any:
        return sampled(built(name)(batch, torch.Generator().manual_seed(seed)))

    def test_layout_graphs_and_order(self, name: str, cut: bool) -> None:
        batch = self.batch(name, cut)
        names = (*KEPT, "pose") if cut else (*KEPT, "frames", "start")
        before = copy.deepcopy({k: batch[k] for k in names})
        out = self.apply(name, batch)
        check_batch(out)
        assert out.num_graphs == batch.num_graphs
        assert all(torch.equal(out[k], before[k]) for k in KEPT)
        assert all(torch.equal(batch[k], v) for k, v in before.items()), "the input was changed"
        assert out.pose.shape == (48, 16, 3, 25)
        assert out.pose.dtype == torch.float32
        assert out.pose.is_contiguous()
        assert out.pose.isfinite().all()
        assert torch.equal(sampled(batch).pose, out.pose) == (name == "identity")

    def test_absent_bodies_and_joints_stay_absent(self, name: str, cut: bool) -> None:
        batch = raw()
        batch.frames = batch.frames.clone()
        low = int(batch.start[2])
        batch.frames[low : low + int(batch.num_frames[clip_of_body(batch)[2]])] = 0
        batch.frames[..., 3] = 0  # the head, which is its own mirror image
        out = self.apply(name, sampled(batch) if cut and name not in NEEDED else batch)
        assert not out.pose[2].any()
        assert not out.pose[..., 3].any()
        assert out.pose[3].any()

    def test_same_generator_same_view(self, name: str, cut: bool) -> None:
        batch = self.batch(name, cut)
        a, b, c = (self.apply(name, batch, seed).pose for seed in (1, 1, 2))
        assert torch.equal(a, b)
        assert torch.equal(a, c) == (name == "identity")

    def test_one_clip_pickle_and_repr(self, name: str, cut: bool) -> None:
        view = built(name)
        assert self.apply(name, self.batch(name, cut, [3])).pose.shape == (2, 16, 3, 25)
        again = pickle.loads(pickle.dumps(view))
        assert repr(again) == repr(view)
        assert type(view).__name__ in repr(view)
        assert name == "identity" or re.search(r"\w+=", repr(view))

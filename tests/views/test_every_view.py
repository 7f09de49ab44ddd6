"""What holds for every view: layout, order, determinism, the input left alone, settings shown."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import SPECS, label
from toy import check_batch, contents, pack, same, toy_batch, undirected

from halpgraph.batch import node_features
from halpgraph.registry import views

every_view = pytest.mark.parametrize("spec", SPECS, ids=label)
seeds = st.integers(0, 2**20)


@functools.cache
def built(text: str) -> Any:
    return views.build(json.loads(text), "views")


def apply(spec: dict[str, Any], batch: Any, seed: int | None) -> Any:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return built(json.dumps(spec))(batch, generator)


@every_view
@given(seed=seeds)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_layout_and_graph_level_values_are_kept(spec: dict[str, Any], seed: int) -> None:
    batch = toy_batch(seed)
    before = contents(batch)
    out = apply(spec, batch, seed)
    check_batch(out)
    assert out.num_graphs == batch.num_graphs
    assert torch.equal(out.y, batch.y)
    assert torch.equal(out.id, batch.id)
    assert same(contents(batch), before), "the input was changed"
    width = batch.num_codes + batch.x.size(1)
    assert node_features(out).shape == (out.x.size(0), width)
    assert bool((out.ptr.diff() <= batch.ptr.diff()).all())


@every_view
@given(seed=seeds)
@settings(max_examples=3, deadline=None, derandomize=True)
def test_the_generator_alone_decides(spec: dict[str, Any], seed: int) -> None:
    batch = toy_batch(seed, graphs=40)
    torch.manual_seed(seed)
    first = contents(apply(spec, batch, seed))
    torch.manual_seed(seed + 1)
    assert same(contents(apply(spec, batch, seed)), first)
    unchanging = spec["name"] == "identity"
    changed = [not same(contents(apply(spec, batch, seed + i)), first) for i in range(1, 4)]
    assert any(changed) != unchanging


@every_view
def test_without_a_generator_torch_is_the_source(spec: dict[str, Any]) -> None:
    batch = toy_batch(3)
    torch.manual_seed(5)
    first = contents(apply(spec, batch, None))
    torch.manual_seed(5)
    assert same(contents(apply(spec, batch, None)), first)


@every_view
def test_graphs_that_are_not_chosen_stay(spec: dict[str, Any]) -> None:
    batch = toy_batch(11, graphs=30)
    chosen = torch.arange(30) % 3 == 0
    view = views.build(spec, "views")
    out = view.change(batch, chosen, torch.Generator().manual_seed(0))
    check_batch(out)
    full, changed = node_features(batch), node_features(out)
    for graph in (~chosen).nonzero().view(-1).tolist():
        assert undirected(out, graph) == undirected(batch, graph)
        old = full[batch.ptr[graph] : batch.ptr[graph + 1]]
        assert torch.equal(changed[out.ptr[graph] : out.ptr[graph + 1]], old)


@every_view
def test_the_smallest_graphs_survive(spec: dict[str, Any]) -> None:
    batch = pack([(1, set()), (2, set()), (2, {(0, 1)}), (1, set())])
    for seed in range(10):
        check_batch(apply(spec, batch, seed))


@every_view
def test_batches_without_dense_features_or_without_codes(spec: dict[str, Any]) -> None:
    bare = toy_batch(4, features=0)
    check_batch(apply(spec, bare, 0))
    dense = toy_batch(4)
    dense.codes, dense.num_codes = dense.codes[:, :0].contiguous(), 0
    out = apply(spec, dense, 0)
    check_batch(out)
    assert node_features(out).size(1) == 3


@every_view
def test_copies_and_pickles_do_the_same(spec: dict[str, Any]) -> None:
    batch, view = toy_batch(9), views.build(spec, "views")
    for twin in (copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        assert repr(twin) == repr(view)
        one = view(batch, torch.Generator().manual_seed(1))
        two = twin(batch, torch.Generator().manual_seed(1))
        assert same(contents(one), contents(two))


def test_settings_are_shown() -> None:
    assert repr(views.build("drop_nodes")) == "DropNodes(ratio=0.1)"
    shown = repr(views.build({"name": "choice", "of": ["identity", "subgraph"]}))
    assert shown == "Choice(of=[Identity(), Subgraph(keep=0.8, grow='bfs')], weights=None)"


def test_rooms_names() -> None:
    known = {"choice", "compose", "identity", "drop_nodes", "perturb_edges", "subgraph"}
    assert known | {"mask_features"} <= set(views.names())
    assert all(views.summary(name) for name in known)

"""The store against a plain graph-by-graph oracle; sharing, devices, fingerprints."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch, Data

from halpgraph.batch import node_features
from halpgraph.data.load import from_list, load
from halpgraph.data.store import GraphStore


def random_graphs(seed: int, count: int) -> list[Data]:
    """Graphs of 1 to 6 nodes, some without edges, with two dense columns."""
    draw = random.Random(seed)
    graphs = []
    for _ in range(count):
        nodes = draw.randint(1, 6)
        pairs = {
            (draw.randrange(nodes), draw.randrange(nodes))
            for _ in range(draw.randint(0, 2 * nodes))
        }
        pairs = {(a, b) for a, b in pairs if a != b}
        pairs |= {(b, a) for a, b in pairs}
        edges = torch.tensor(sorted(pairs), dtype=torch.long).reshape(-1, 2).t()
        x = torch.tensor([[draw.random(), draw.random()] for _ in range(nodes)])
        graphs.append(Data(x=x, edge_index=edges, y=torch.tensor([draw.randint(0, 2)])))
    return graphs


def check_layout(batch: Batch) -> None:
    """What batch.py promises of every batch."""
    nodes, edges = batch.x.size(0), batch.edge_index
    assert batch.ptr[0] == 0
    assert batch.ptr[-1] == nodes == batch.codes.size(0) == batch.batch.numel()
    assert batch.num_graphs == batch.ptr.numel() - 1 == batch.y.size(0) == batch.id.numel()
    keys = edges[0] * max(nodes, 1) + edges[1]
    assert (keys.diff() > 0).all()  # sorted, no duplicates
    assert (edges[0] != edges[1]).all()
    assert torch.equal(keys, (edges[1] * max(nodes, 1) + edges[0]).sort().values)
    assert torch.equal(batch.batch[edges[0]], batch.batch[edges[1]])
    assert torch.equal(batch.rowptr.diff(), edges[0].bincount(minlength=nodes))
    assert batch.rowptr[0] == 0
    assert torch.equal(batch.ptr.diff(), batch.batch.bincount(minlength=batch.num_graphs))
    assert torch.equal(batch.batch, batch.batch.sort().values)


def check_content(batch: Batch, graphs: list[Data], ids: list[int]) -> None:
    """Graph by graph, what was put in."""
    assert batch.id.tolist() == ids
    for place, i in enumerate(ids):
        low, high = batch.ptr[place : place + 2].tolist()
        first, last = batch.rowptr[low].item(), batch.rowptr[high].item()
        assert torch.equal(batch.x[low:high], graphs[i].x)
        assert torch.equal(batch.edge_index[:, first:last] - low, graphs[i].edge_index)
        assert batch.y[place] == graphs[i].y


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 9), data=st.data())
def test_batches_are_what_was_put_in(seed: int, count: int, data: st.DataObject) -> None:
    graphs = random_graphs(seed, count)
    for i, value in enumerate((0, 1, 2)):
        graphs[i].y = torch.tensor([value])  # so that classes keep their numbers
    store = from_list(graphs, ["attributes", "degree"]).store
    ids = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=12))
    batch = store.batch(torch.tensor(ids))
    check_layout(batch)
    check_content(batch, graphs, ids)
    degree = batch.rowptr.diff()
    assert torch.equal(batch.codes[:, 0], degree)

    low = data.draw(st.integers(0, count - 1))
    high = data.draw(st.integers(low + 1, count))
    part = store.batch(torch.arange(low, high))
    check_layout(part)
    check_content(part, graphs, list(range(low, high)))
    check_content(store.batch(), graphs, list(range(count)))

    some = store.subset(ids)
    check_layout(some.batch())
    check_content(some.batch(), graphs, ids)
    inner = torch.arange(len(ids)).flip(0)
    check_content(some.batch(inner), graphs, ids[::-1])


def test_neighbours_are_slices_without_copies() -> None:
    store = from_list(random_graphs(3, 8), ["attributes", "degree"]).store
    whole, part, moved = (
        store.batch(),
        store.batch(torch.arange(2, 6)),
        store.batch(torch.tensor([3])),
    )

    def storage(tensor: Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    for batch in (whole, part, moved):
        assert storage(batch.x) == storage(store.x)
        assert storage(batch.codes) == storage(store.codes)
    assert storage(store.batch(torch.tensor([3, 1])).x) != storage(store.x)


def test_bad_ids() -> None:
    store = from_list(random_graphs(1, 4)).store
    for ids in ([-1], [4], [0, 4], [2, -1, 0]):
        with pytest.raises(IndexError, match="of 4"):
            store.batch(torch.tensor(ids))
    with pytest.raises(TypeError, match="bool"):
        store.batch(torch.tensor([True, False, True, True]))
    assert store.batch(torch.tensor([], dtype=torch.long)).num_graphs == 0
    with pytest.raises(IndexError):
        store[4]


def test_one_graph_has_memory_of_its_own() -> None:
    graphs = random_graphs(5, 6)
    store = from_list(graphs, ["attributes", "degree"]).store
    one = store[-1]
    assert torch.equal(one.x[:, store.num_codes :], graphs[-1].x)
    assert torch.equal(one.edge_index, graphs[-1].edge_index)
    assert one.x.size(1) == store.num_features
    for value in (one.x, one.edge_index, one.y, one.id):
        assert value.untyped_storage().nbytes() == value.nbytes
    before = store.fingerprint()
    one.x.fill_(7)
    one.edge_index.fill_(0)
    assert store.fingerprint() == before
    assert len(list(store)) == len(store) == 6


def test_written_out_graphs_make_the_same_store_again() -> None:
    store = from_list(random_graphs(6, 9), ["degree"]).store
    again = from_list(list(store)).store
    assert again.num_codes == store.num_codes
    assert torch.equal(again.codes, store.codes)
    assert torch.equal(again.edge_index, store.edge_index)


def test_fingerprint_sees_every_change() -> None:
    store = from_list(random_graphs(2, 5), ["attributes", "degree"]).store
    first = store.fingerprint()
    assert from_list(random_graphs(2, 5), ["attributes", "degree"]).store.fingerprint() == first
    assert pickle.loads(pickle.dumps(store)).fingerprint() == first
    assert store.to("cpu").fingerprint() == first
    for name in ("x", "codes", "edge_index", "rowptr", "ptr", "id", "y"):
        values = store.__getstate__()
        values[name] = values[name].clone()
        values[name].view(-1)[-1] += 1
        assert GraphStore(**values).fingerprint() != first, name
    assert GraphStore(**(store.__getstate__() | {"y": None})).fingerprint() != first


def test_pickled_once_not_twice() -> None:
    store = load("MUTAG").store
    store.batch(torch.tensor([3, 1]))
    tensors = [v for v in store.__getstate__().values() if isinstance(v, Tensor)]
    assert len(pickle.dumps(store)) < 1.1 * sum(v.nbytes for v in tensors) + 20_000


def test_without_labels() -> None:
    graphs = random_graphs(4, 4)
    for graph in graphs:
        graph.y = None
    data = from_list(graphs)
    assert data.y is None
    assert data.store.y is None
    assert "y" not in data.store.batch(torch.tensor([2, 0]))
    assert data.info["num_classes"] == 0
    assert any("no labels" in note for note in data.info["notes"])


def test_a_shuffled_set_is_the_set(real_data: Path) -> None:
    store = load("NCI1", root=real_data).store
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))
    back = store.subset(order).subset(order.argsort())
    assert back.fingerprint() == store.fingerprint()
    assert node_features(store.batch(order[:50])).sum(1).eq(1).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu() -> None:
    store = from_list(random_graphs(7, 9), ["attributes", "degree"]).store
    ids = torch.tensor([4, 4, 0, 8])
    here, there = store.batch(ids), store.to("cuda").batch(ids.cuda())
    for name in ("x", "codes", "edge_index", "rowptr", "ptr", "batch", "y", "id"):
        assert torch.equal(here[name], there[name].cpu()), name
    assert store.to("cuda").fingerprint() == store.fingerprint()

"""A user's own graphs: every sort of x, y and edges, and what is wrong with them by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from halpgraph.batch import node_features
from halpgraph.data.load import from_list
from halpgraph.data.store import GraphStore
from halpgraph.errors import UserError

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def graph(x: torch.Tensor | None = None, edges: torch.Tensor = PATH, **other: object) -> Data:
    return Data(x=x, edge_index=edges, num_nodes=3, **other)


def test_directed_graphs_loops_and_duplicates() -> None:
    edges = torch.tensor([[2, 0, 0, 1, 1], [1, 1, 1, 1, 0]])
    data = from_list([graph(edges=edges), graph()])
    assert data.store.batch().edge_index.t().tolist() == [
        *([0, 1], [1, 0], [1, 2], [2, 1]),
        *([3, 4], [4, 3], [4, 5], [5, 4]),
    ]
    assert set(data.info["notes"]) >= {
        "1 self-loops removed",
        "1 duplicate edges removed",
        "1 one-way edges made two-way",
    }
    assert data.info["num_edges"] == 4


def test_one_hot_rows_are_packed_and_mean_the_same() -> None:
    xs = [torch.eye(4)[[0, 2, 2]], torch.eye(4)[[1, 0, 2]].double()]
    store = from_list([graph(x.float()) for x in xs]).store
    assert store.codes.shape == (6, 1)
    assert store.x.shape == (6, 0)
    assert torch.equal(node_features(store.batch()), torch.cat([x.float() for x in xs]))


@pytest.mark.parametrize(
    "x", [torch.zeros(3, 2), torch.ones(3, 2), torch.rand(3, 2), torch.ones(3, 1), torch.eye(3) / 2]
)
def test_other_rows_stay_as_they_are(x: torch.Tensor) -> None:
    store = from_list([graph(x)]).store
    assert torch.equal(store.x, x)
    assert store.codes.shape == (3, 0)


def test_whole_numbers_are_categories() -> None:
    data = from_list(
        [graph(torch.tensor([[6, 1], [8, -1], [6, 0]])), graph(torch.zeros(3, 2).long())]
    )
    assert data.info["features"] == "node labels (12 in 2 columns)"
    assert data.store.codes[:3].tolist() == [[6, 11], [8, 9], [6, 10]]
    flat = from_list([Data(x=torch.tensor([6, 8, 6]), edge_index=PATH)]).store
    assert flat.codes[:, 0].tolist() == [0, 2, 0]


@pytest.mark.parametrize("x", [torch.eye(3), torch.tensor([[6, 1], [8, -1], [6, 0]])])
def test_attributes_asked_for_are_taken_as_they_are(x: torch.Tensor) -> None:
    data = from_list([graph(x)], ["attributes"])
    assert torch.equal(data.store.x, x.float())
    assert data.store.num_codes == 0
    assert data.info["features"] == f"attributes ({x.size(1)})"


def test_no_x_means_degrees() -> None:
    data = from_list([graph(), graph()])
    assert data.info["features"] == "degree (one-hot, up to 2)"
    assert data.store.codes[:, 0].tolist() == [1, 2, 1, 1, 2, 1]
    with pytest.raises(UserError, match="no node labels"):
        from_list([graph()], ["labels"])


def test_labels_are_numbered_and_counted() -> None:
    data = from_list([graph(y=torch.tensor(v)) for v in ([7], [3], [7], [-1])])
    assert data.y is not None
    assert data.y.tolist() == data.store.y.tolist() == [2, 1, 2, 0]
    assert data.info["class_names"] == ["-1", "3", "7"]
    assert data.info["class_counts"] == [1, 1, 2]
    plain = from_list([graph(y=value) for value in (0, 1, 1)])
    assert plain.y is not None
    assert plain.y.tolist() == [0, 1, 1]


def test_real_valued_and_many_targets() -> None:
    one = from_list([graph(y=torch.tensor([v])) for v in (0.5, 2.0)])
    assert one.y is not None
    assert one.y.dtype == "float32"
    assert one.info["num_classes"] == 0
    many = from_list(
        [graph(y=torch.tensor([[1.0, float("nan")]])), graph(y=torch.tensor([0.0, 1.0]))]
    )
    assert many.store.y.shape == (2, 2)


def test_a_pyg_data_set(tmp_path: Path) -> None:
    class Own(InMemoryDataset):
        def __init__(self) -> None:
            super().__init__(str(tmp_path))
            graphs = [graph(torch.rand(3, 2), y=torch.tensor([i % 2])) for i in range(5)]
            self.data, self.slices = self.collate(graphs)

    own = Own()
    store = from_list(own).store
    assert len(store) == 5
    assert torch.equal(store.x[3:6], own[1].x)
    assert GraphStore.from_data_list(own[torch.tensor([3, 1])]).y.tolist() == [0, 0]
    assert GraphStore.from_data_list(own, ["degree"]).num_features == 3


def test_graphs_without_edges() -> None:
    none = Data(x=torch.rand(2, 1), edge_index=torch.empty(2, 0, dtype=torch.long))
    missing = Data(x=torch.rand(3, 1))
    store = from_list([none, missing]).store
    assert store.edge_index.shape == (2, 0)
    assert store.rowptr.tolist() == [0] * 6


BAD = {
    "no graphs": ([], "empty"),
    "empty graph": ([graph(), Data(x=torch.empty(0, 2)), graph()], "without nodes: 1 "),
    "not a Data": ([graph(), "graph"], "item 1 is a str"),
    "nan": (
        [graph(torch.rand(3, 2)), graph(torch.tensor([[0.1, 1]] * 2 + [[0.3, float("nan")]]))],
        "graph 1, node 2, attribute column 1",
    ),
    "infinite": ([graph(torch.tensor([[0.5], [float("inf")], [1]]))], "graph 0, node 1"),
    "some without x": ([graph(torch.rand(3, 2)), graph()], "graphs 1 have no x"),
    "two widths": ([graph(torch.rand(3, 2)), graph(torch.rand(3, 3))], "one F"),
    "three dimensions": ([graph(torch.rand(3, 2, 2))], "one F"),
    "rows missing": ([graph(torch.rand(2, 2))], "graphs 0: x has not one row a node"),
    "edge to nowhere": ([graph(), graph(edges=torch.tensor([[0], [3]]))], "graph 1: edge_index"),
    "edges the wrong way round": ([graph(edges=PATH.t())], "graph 0: edge_index must be [2, E]"),
    "negative edge": ([graph(edges=torch.tensor([[0], [-1]]))], "graph 0: edge_index"),
    "some without y": ([graph(y=1), graph()], "graphs 1 have no y"),
    "labels of nodes": ([graph(y=torch.ones(3)), graph(y=torch.ones(2))], "labels of graphs"),
    "nan label": ([graph(y=1.0), graph(y=float("nan"))], "no number: 1"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_named(what: str) -> None:
    graphs, words = BAD[what]
    with pytest.raises(UserError) as caught:
        from_list(graphs, name="mine")
    assert "mine" in str(caught.value)
    assert words in str(caught.value)

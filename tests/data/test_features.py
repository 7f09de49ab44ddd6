"""Node features: what is asked for is what is made, said in words, and made again alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from tu_files import write_folder

from halpgraph.batch import node_features
from halpgraph.data.features import build_features
from halpgraph.data.load import from_list, load
from halpgraph.data.tables import Tables
from halpgraph.data.tu import read_tu
from halpgraph.errors import UserError


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return read_tu(write_folder(tmp_path), "OWN")


def test_every_feature_written_out(tables: Tables, tmp_path: Path) -> None:
    names = ["labels", "degree", "attributes", "constant"]
    data = load(str(tmp_path / "OWN"), features=names)
    found = node_features(data.store.batch()).numpy()
    labels = np.eye(4)[[0, 1, 3, 0, 0, 1, 3, 3, 3, 0]]
    degree = np.eye(3)[[2, 2, 2, 2, 2, 2, 1, 2, 2, 1]]
    attributes = np.array([[i / 4, -i] for i in range(10)])
    assert np.allclose(found, np.hstack([labels, degree, attributes, np.ones((10, 1))]))
    assert data.info["num_features"] == found.shape[1] == 10
    assert data.info["features"] == (
        "node labels (4) + degree (one-hot, up to 2) + attributes (2) + constant"
    )


def test_degrees_from_the_cap_on_share_a_code() -> None:
    star = Data(edge_index=torch.stack([torch.zeros(9, dtype=torch.long), torch.arange(1, 10)]))
    star.num_nodes = 10
    capped = from_list([star], ["degree"], degree_cap=4)
    assert capped.store.codes[:, 0].tolist() == [4] + [1] * 9
    assert capped.store.num_codes == 5
    assert capped.info["features"] == "degree (one-hot, up to 4)"
    assert from_list([star], ["degree"]).store.num_codes == 10


def test_standardised_attributes(tables: Tables) -> None:
    made = build_features(tables, ["attributes"], standardise=True)
    assert np.allclose(made.x.mean(0), 0, atol=1e-6)
    assert np.allclose(made.x.std(0), 1, atol=1e-6)
    assert made.text == "attributes (2, standardised)"
    assert made.notes
    tables.attributes[:, 1] = 5.0  # a column that says nothing becomes zeros, not NaN
    assert (build_features(tables, ["attributes"], standardise=True).x[:, 1] == 0).all()
    assert np.array_equal(build_features(tables, ["attributes"]).x, tables.attributes)


def test_defaults(tmp_path: Path) -> None:
    made = [
        read_tu(write_folder(tmp_path / "a"), "OWN"),
        read_tu(write_folder(tmp_path / "b", node_labels=None), "OWN"),
        read_tu(write_folder(tmp_path / "c", node_labels=None, node_attributes=None), "OWN"),
    ]
    words = [build_features(tables).text.split()[0] for tables in made]
    assert words == ["node", "attributes", "degree"]


def test_what_cannot_be_made(tables: Tables, tmp_path: Path) -> None:
    bare = read_tu(write_folder(tmp_path / "bare", node_labels=None), "OWN")
    with pytest.raises(UserError, match=r"OWN has no node labels; it has attributes, degree"):
        build_features(bare, ["labels"])
    with pytest.raises(UserError, match="did you mean 'degree'"):
        build_features(tables, ["degre"])
    with pytest.raises(UserError, match="twice"):
        build_features(tables, ["degree", "degree"])
    with pytest.raises(UserError, match="empty"):
        build_features(tables, [])
    with pytest.raises(UserError, match="degree_cap"):
        build_features(tables, ["degree"], degree_cap=0)
    with pytest.raises(UserError, match=r"data\.standardize.*did you mean 'standardise'"):
        load("MUTAG", standardize=True)


def test_other_graphs_get_the_same_features() -> None:
    def graph(values: list[int], edges: list[tuple[int, int]]) -> Data:
        index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
        return Data(x=torch.tensor(values).unsqueeze(1), edge_index=index)

    known = from_list([graph([3, 5, 4], [(0, 1), (1, 2)])], ["labels", "degree"]).store
    star = graph([5, 3, 9, 3], [(0, 1), (0, 2), (0, 3)])
    other = from_list([star], schema=known.schema).store
    assert known.num_codes == other.num_codes == 6
    blank = other.num_codes  # 9 was not there before; a degree of 3 counts as the largest, 2
    assert other.codes.tolist() == [[2, 5], [0, 4], [blank, 4], [0, 4]]
    assert node_features(other.batch())[2].tolist() == [0, 0, 0, 0, 1, 0]


def test_scaling_is_that_of_the_graphs_learnt_from() -> None:
    edges = torch.empty(2, 0, dtype=torch.long)
    known = from_list([Data(x=torch.tensor([[0.5], [4.5]]), edge_index=edges)], standardise=True)
    other = from_list(
        [Data(x=torch.tensor([[2.5], [6.5]]), edge_index=edges)], schema=known.store.schema
    )
    assert known.store.x[:, 0].tolist() == [-1, 1]
    assert other.store.x[:, 0].tolist() == [0, 2]


def test_other_graphs_of_another_kind_are_refused() -> None:
    edges = torch.empty(2, 0, dtype=torch.long)
    dense = Data(x=torch.rand(2, 3), edge_index=edges)
    hot = Data(x=torch.eye(3), edge_index=edges)
    whole = Data(x=torch.ones(2, 3, dtype=torch.long), edge_index=edges)
    narrow = Data(x=torch.rand(2, 2), edge_index=edges)
    schema = from_list([dense]).store.schema
    assert from_list([hot], schema=schema).store.x.tolist() == torch.eye(3).tolist()
    with pytest.raises(UserError, match="2 columns, the graphs learnt from had 3"):
        from_list([narrow], schema=schema)
    assert from_list([whole], schema=schema).store.x.tolist() == [[1, 1, 1]] * 2
    with pytest.raises(UserError, match="x is dense, but was categories"):
        from_list([dense], schema=from_list([whole]).store.schema)
    with pytest.raises(UserError, match="x is none, but was dense"):
        from_list([Data(edge_index=edges, num_nodes=2)], schema=schema)
    with pytest.raises(UserError, match="one-hot"):
        from_list([dense], schema=from_list([hot]).store.schema)

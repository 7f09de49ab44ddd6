"""The TU reader: published statistics, equality with PyG, and every kind of damage."""

from __future__ import annotations

import importlib.util
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.io import read_tu_data
from tu_files import SMALL, write_folder, write_zip

from halpgraph.batch import node_features
from halpgraph.data._files import Files
from halpgraph.data.load import load
from halpgraph.data.tables import Tables
from halpgraph.data.tu import read_tu
from halpgraph.errors import UserError

# graphs, nodes, undirected edges, classes, node label values, attributes, edge label values
PUBLISHED = {
    "MUTAG": (188, 3371, 3721, [63, 125], 7, 0, 4),
    "PROTEINS": (1113, 43471, 81044, [663, 450], 3, 1, 0),
    "NCI1": (4110, 122747, 132753, [2053, 2057], 37, 0, 0),
    "DD": (1178, 334925, 843046, [691, 487], 89, 0, 0),
    "PTC_MR": (344, 4915, 5054, [192, 152], 18, 0, 4),
    "ENZYMES": (600, 19580, 37282, [100] * 6, 3, 18, 0),
    "IMDB-BINARY": (1000, 19773, 96531, [500, 500], 0, 0, 0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_statistics(name: str, real_data: Path) -> None:
    tables = read_tu(real_data / "tu" / f"{name}.zip", name)
    found = (
        tables.num_graphs,
        tables.num_nodes,
        tables.edge_index.shape[1] / 2,
        tables.class_counts(),
        sum(column.size for column in tables.columns),
        tables.attributes.shape[1],
        tables.edge_labels,
    )
    assert found == PUBLISHED[name]


@pytest.mark.parametrize(
    "name",
    ["MUTAG", "PROTEINS", *(pytest.param(n, marks=pytest.mark.slow) for n in ("NCI1", "DD"))],
)
def test_reads_what_pyg_reads(name: str, real_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real_data / "tu" / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    theirs, slices, sizes = read_tu_data(str(tmp_path / name), name)
    chosen = ["attributes", "labels"] if sizes["num_node_attributes"] else ["labels"]
    ours = load(name, features=chosen, root=real_data).store

    assert torch.equal(ours.ptr, slices["x"])
    assert torch.equal(ours.y, theirs.y)
    assert torch.equal(ours.rowptr[ours.ptr], slices["edge_index"])
    starts = ours.ptr[:-1].repeat_interleave(slices["edge_index"].diff())
    assert torch.equal(ours.edge_index, theirs.edge_index + starts)
    width = ours.x.size(1)  # PyG puts attributes first, a batch puts them last
    whole = node_features(ours.batch())
    assert torch.equal(whole[:, ours.num_codes :], theirs.x[:, :width])
    assert torch.equal(whole[:, : ours.num_codes], theirs.x[:, width:])


def test_the_copy_inside_grakel_is_the_published_one(real_data: Path) -> None:
    if importlib.util.find_spec("grakel") is None:
        pytest.skip("grakel is not installed")
    packaged, published = load("MUTAG"), load("MUTAG", root=real_data)
    assert packaged.info["found_in"].startswith("grakel package")
    assert published.info["found_in"].startswith("data folder")
    assert packaged.info["fingerprint"] == published.info["fingerprint"]


def test_zip_and_folder_say_the_same(tmp_path: Path) -> None:
    first = read_tu(write_zip(tmp_path / "a"), "OWN")
    second = read_tu(write_folder(tmp_path / "b"), "OWN")
    for name in ("ptr", "edge_index", "rowptr", "labels", "attributes", "y"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    assert first.class_counts() == [1, 2]
    assert first.classes == ("-1", "1")
    assert first.labels[:, 0].tolist() == [0, 1, 3, 0, 0, 1, 3, 3, 3, 0]


@pytest.mark.parametrize(("blank", "end"), [(", ", "\n"), (",", "\n"), (" ,  ", "\r\n")])
def test_any_spacing_and_line_ends(blank: str, end: str, tmp_path: Path) -> None:
    other = {k: v.replace(", ", blank).replace("\n", end) for k, v in SMALL.items()}
    expected = read_tu(write_folder(tmp_path / "a"), "OWN")
    found = read_tu(write_folder(tmp_path / "b", **other), "OWN")
    assert np.array_equal(found.edge_index, expected.edge_index)
    assert np.array_equal(found.attributes, expected.attributes)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), graphs=st.integers(1, 6), two_way=st.booleans())
def test_against_a_plain_reader(
    seed: int, graphs: int, two_way: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    sizes = [draw.randint(1, 5) for _ in range(graphs)]
    nodes = [graph for graph, size in enumerate(sizes) for _ in range(size)]
    if draw.random() < 0.5:
        draw.shuffle(nodes)  # the layout does not promise that graphs follow each other
    rows = []
    for _ in range(draw.randint(0, 25)):
        a = draw.randrange(len(nodes))
        b = draw.choice([i for i in range(len(nodes)) if nodes[i] == nodes[a]])
        rows += [(a, b), (b, a)] if two_way else [(a, b)]
    labels = [draw.choice([-3, 0, 7]) for _ in nodes]
    folder = write_folder(
        tmp_path_factory.mktemp("tu"),
        A="".join(f"{a + 1}, {b + 1}\n" for a, b in rows),
        graph_indicator="".join(f"{g + 1}\n" for g in nodes),
        graph_labels="".join(f"{draw.randint(0, 1)}\n" for _ in sizes),
        node_labels="".join(f"{label}\n" for label in labels),
        node_attributes=None,
    )
    tables = read_tu(folder, "OWN")

    low = min(labels)
    for graph in range(graphs):
        members = [i for i, g in enumerate(nodes) if g == graph]
        place = {node: k for k, node in enumerate(members)}
        edges = {(place[a], place[b]) for a, b in rows if nodes[a] == graph and a != b}
        edges |= {(b, a) for a, b in edges}
        assert _edges_of(tables, graph) == sorted(edges)
        start, stop = tables.ptr[graph : graph + 2]
        assert tables.labels[start:stop, 0].tolist() == [labels[i] - low for i in members]


def _edges_of(tables: Tables, graph: int) -> list[tuple[int, int]]:
    start, stop = tables.ptr[graph : graph + 2]
    found = []
    for node in range(start, stop):
        for edge in range(tables.rowptr[node], tables.rowptr[node + 1]):
            source, target = tables.edge_index[:, edge]
            assert source == node
            found.append((int(source - start), int(target - start)))
    return found


def test_what_was_changed_is_noted(tmp_path: Path) -> None:
    text = "1, 2\n2, 1\n2, 1\n3, 3\n2, 3\n7, 8\n"
    tables = read_tu(write_folder(tmp_path, A=text), "OWN")
    assert tables.edge_index.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1], [6, 7], [7, 6]]
    assert set(tables.notes) == {
        "1 self-loops removed",
        "1 duplicate edges removed",
        "2 one-way edges made two-way",
    }


def test_graphs_without_edges_and_a_set_without_labels(tmp_path: Path) -> None:
    tables = read_tu(write_folder(tmp_path, A="", graph_labels=None, node_labels=None), "OWN")
    assert tables.edge_index.shape == (2, 0)
    assert tables.rowptr.tolist() == [0] * 11
    assert tables.y is None
    assert tables.class_counts() == []


def test_real_valued_targets(tmp_path: Path) -> None:
    text = "0.5\n-1.25\n3\n"
    tables = read_tu(write_folder(tmp_path, graph_attributes=text), "OWN")
    assert tables.y is not None
    assert tables.y.tolist() == [0.5, -1.25, 3.0]
    assert tables.classes == ()


def test_wide_and_mostly_unused_labels_are_counted_closely(tmp_path: Path) -> None:
    text = "".join(f"{i * 10**6}\n" for i in (3, 1, 1, 3, 2, 2, 1, 3, 3, 1))
    tables = read_tu(write_folder(tmp_path, node_labels=text), "OWN")
    assert tables.columns[0].size == 3
    assert tables.labels[:, 0].tolist() == [2, 0, 0, 2, 1, 1, 0, 2, 2, 0]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"A": "1, 2\n2, 1\n2,"}, ["OWN_A.txt, line 3", "'2,'"]),
        ({"A": "1, 2\n2\n"}, ["OWN_A.txt, line 2", "2 numbers"]),
        ({"A": "1, 2\n2, x\n"}, ["OWN_A.txt, line 2", "'2, x'"]),
        ({"A": "1, 2, 3\n2, 1, 3\n"}, ["OWN_A.txt, line 1", "2 numbers"]),
        ({"A": "1, 2\n2, 1.5\n"}, ["OWN_A.txt, row 2", "whole numbers"]),
        ({"A": "1, 2\n2, 11\n"}, ["OWN_A.txt, rows 2", "1 to 10"]),
        ({"A": "0, 1\n"}, ["OWN_A.txt, rows 1", "1 to 10"]),
        ({"A": "1, 2\n3, 4\n"}, ["OWN_A.txt, rows 2", "between two graphs"]),
        ({"A": None}, ["OWN_A.txt is missing", "OWN_graph_indicator.txt"]),
        ({"graph_indicator": None}, ["OWN_graph_indicator.txt is missing"]),
        ({"graph_indicator": "1\n1\nnan\n"}, ["OWN_graph_indicator.txt, row 3"]),
        ({"graph_indicator": "\x00\x01PK garbage"}, ["OWN_graph_indicator.txt, line 1"]),
        ({"graph_indicator": ""}, ["without nodes: 0, 1, 2"]),
        ({"graph_indicator": "", "graph_labels": None}, ["OWN", "empty"]),
        ({"graph_indicator": SMALL["graph_indicator"].replace("2", "1")}, ["without nodes: 1 "]),
        ({"graph_indicator": SMALL["graph_indicator"].replace("3", "4")}, ["graph 4", "only 3"]),
        ({"graph_indicator": SMALL["graph_indicator"].replace("1", "0")}, ["counted from 1"]),
        ({"graph_labels": "1\n2\n3\n4\n"}, ["without nodes: 3 "]),
        ({"graph_labels": "1\nnan\n2\n"}, ["no number: 1"]),
        ({"node_labels": "1\n2\n"}, ["OWN_node_labels.txt: 2 lines, but 10", "cut short"]),
        ({"node_attributes": "1, 2\n"}, ["OWN_node_attributes.txt: 1 lines, but 10"]),
        ({"edge_labels": "1\n2\n"}, ["OWN_edge_labels.txt: 2 lines, but 18"]),
        (
            {"node_attributes": SMALL["node_attributes"].replace("1.25, -5", "1.25, nan")},
            ["graph 1, node 2, attribute column 1", "nan"],
        ),
        (
            {"node_attributes": SMALL["node_attributes"].replace("2.25, -9", "inf, -9")},
            ["graph 2, node 3, attribute column 0", "inf"],
        ),
    ],
)
def test_damage_is_named(parts: dict[str, str | None], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_tu(write_folder(tmp_path, **parts), "OWN")
    for word in words:
        assert word in str(caught.value)


def test_every_truncation_of_an_archive_is_caught(tmp_path: Path) -> None:
    path = write_zip(tmp_path)
    whole = path.read_bytes()
    for cut in (0, 1, 30, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"OWN\.zip: truncated or damaged archive"):
            read_tu(path, "OWN")


def test_every_flipped_byte_of_the_content_is_caught(tmp_path: Path) -> None:
    path = write_zip(tmp_path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("OWN/OWN_A.txt")
    start = info.header_offset + 30 + len(info.filename)
    messages: set[str] = set()
    contents: list[bytes] = []
    for place in range(start, start + info.compress_size):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            content = Files(path).read("OWN_A.txt")
        except UserError as error:
            messages.add(str(error).partition(" (")[0])
        else:  # padding bits of the packed stream mean nothing
            contents.append(content)
    assert messages == {f"{path}: truncated or damaged archive"}
    assert contents in ([], [SMALL["A"].encode()])


@pytest.mark.parametrize(
    "member",
    ["../OWN_A.txt", "OWN/../../OWN_A.txt", "/etc/OWN_A.txt", "C:\\x\\OWN_A.txt", "a\\..\\b"],
)
def test_paths_that_lead_out_of_an_archive_are_refused(member: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "1, 2\n")
    with pytest.raises(UserError, match="outside its own folder"):
        read_tu(path, "OWN")


def test_an_encrypted_archive_and_a_plain_file(tmp_path: Path) -> None:
    path = write_zip(tmp_path)
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1  # the flag "encrypted"
    path.write_bytes(bytes(raw))
    with pytest.raises(UserError, match=r"OWN\.zip.*damaged"):
        read_tu(path, "OWN")
    plain = tmp_path / "PLAIN.zip"
    plain.write_text("no archive")
    with pytest.raises(UserError, match=r"PLAIN\.zip.*not a zip file"):
        read_tu(plain, "PLAIN")

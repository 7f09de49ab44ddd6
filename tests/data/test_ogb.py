"""OGB sets on a hand-made folder in OGB's layout, without a network."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from halpgraph.data import cards, catalogue
from halpgraph.data.cards import Statistics
from halpgraph.data.load import load
from halpgraph.data.ogb import ogb_facts, read_ogb
from halpgraph.errors import UserError

ATOM_SIZES = [119, 5, 12, 12, 10, 6, 6, 2, 2]
NAME = "ogbg-molhiv"


def lines(rows: list[list[object]]) -> bytes:
    return gzip.compress("".join(",".join(map(str, row)) + "\n" for row in rows).encode())


def write_ogb(folder: Path, seed: int = 0, graphs: int = 12) -> Path:
    """Write random molecules (trees) as OGB publishes them: every bond once, atoms as numbers."""
    draw = random.Random(seed)
    sizes = [draw.randint(1, 6) for _ in range(graphs)]
    bonds = [[[draw.randrange(i), i] for i in range(1, size)] for size in sizes]
    atoms = [[draw.randrange(size) for size in ATOM_SIZES] for _ in range(sum(sizes))]
    (folder / "raw").mkdir(parents=True)
    (folder / "split" / "scaffold").mkdir(parents=True)
    (folder / "processed").mkdir()
    (folder / "RELEASE_v1.txt").touch()
    raw = {
        "edge": [bond for graph in bonds for bond in graph],
        "edge-feat": [[0, 0, 0] for graph in bonds for _ in graph],
        "node-feat": atoms,
        "num-node-list": [[size] for size in sizes],
        "num-edge-list": [[len(graph)] for graph in bonds],
        "graph-label": [[i % 2] for i in range(graphs)],
    }
    for name, rows in raw.items():
        (folder / "raw" / f"{name}.csv.gz").write_bytes(lines(rows))
    order = list(range(graphs))
    draw.shuffle(order)
    for name, part in (("train", order[:8]), ("valid", order[8:10]), ("test", order[10:])):
        path = folder / "split" / "scaffold" / f"{name}.csv.gz"
        path.write_bytes(lines([[i] for i in part]))
    return folder


@pytest.fixture
def molhiv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a small ogbg-molhiv, and a card that expects it small."""
    small = cards.cards()[NAME].model_copy(update={"statistics": Statistics(graphs=12)})
    everything = cards.cards() | {NAME: small}
    monkeypatch.setattr(cards, "_all", lambda: everything)
    return write_ogb(tmp_path / "data" / "ogbg_molhiv")


def test_reads_what_ogb_reads(molhiv: Path, tmp_path: Path) -> None:
    from ogb.graphproppred import PygGraphPropPredDataset
    from ogb.utils.features import get_atom_feature_dims

    assert get_atom_feature_dims() == ATOM_SIZES
    data = load(NAME, root=molhiv.parent)
    shutil.copytree(molhiv, tmp_path / "theirs" / "ogbg_molhiv")
    known = [DataEdgeAttr, DataTensorAttr, GlobalStorage]
    with torch.serialization.safe_globals(known):
        theirs = PygGraphPropPredDataset(NAME, root=str(tmp_path / "theirs"))
    offsets = torch.tensor(ATOM_SIZES).cumsum(0) - torch.tensor(ATOM_SIZES)
    assert len(data.store) == len(theirs) == 12
    for i, graph in enumerate(theirs):
        mine = data.store.batch(torch.tensor([i]))
        assert torch.equal(mine.codes - offsets, graph.x)
        assert mine.edge_index.t().tolist() == sorted(graph.edge_index.t().tolist())
        assert mine.y.item() == graph.y.item()
    assert data.splits is not None
    official = theirs.get_idx_split()
    assert list(data.splits) == ["train", "valid", "test"]
    for part, positions in data.splits.items():
        assert positions.tolist() == official[part].tolist()
    assert data.metric == theirs.eval_metric == "rocauc"


def test_what_a_report_says_of_it(molhiv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in molhiv.rglob("*"))
    data = load(NAME, root=molhiv.parent)
    assert data.info["features"] == "atom features (174 in 9 columns)"
    assert data.info["num_features"] == data.store.num_codes == 174
    assert data.info["class_names"] == ["inactive", "active"]
    assert data.info["class_counts"] == [6, 6]
    assert data.info["notes"] == [
        "official split (8 train, 2 valid, 2 test), official metric rocauc"
    ]
    assert data.y is not None
    assert data.y.tolist() == [0, 1] * 6
    assert capsys.readouterr() == ("", "")
    assert sorted(p.name for p in molhiv.rglob("*")) == before  # the folder is only read
    found = catalogue.check(NAME, molhiv.parent)
    assert found["metric"] == "rocauc"
    assert found["place"] == "data folder"


def test_a_run_uses_the_official_split_and_metric(molhiv: Path, tmp_path: Path) -> None:
    from small import small_recipe

    from halpgraph.reports.source import read_run
    from halpgraph.reports.words import primary
    from halpgraph.runner import run

    recipe = small_recipe(data__name=NAME, train__batch_size=4)
    folder = run(recipe, runs=tmp_path / "runs", data=molhiv.parent, quiet=True, jobs=1)
    protocol = " ".join(folder.scores["protocol"])
    assert "official split instead of folds, one test set, official metric rocauc" in protocol
    assert "outer folds" not in protocol
    (cell,) = read_run(folder.path).cells
    assert primary(cell) == "roc_auc"
    assert {row["evaluator_label"] for row in cell.rows} == {"kNN (cosine), official split"}
    assert all(row["metrics"]["roc_auc"]["n_folds"] == 1 for row in cell.rows)


@pytest.mark.parametrize("place", ["ogbg_molhiv_pyg", "ogb/ogbg_molhiv"])
def test_other_places_in_a_data_folder(place: str, molhiv: Path) -> None:
    target = molhiv.parent / place
    target.parent.mkdir(exist_ok=True)
    molhiv.rename(target)
    assert load(NAME, root=molhiv.parent).info["found_in"] == f"data folder: {target}"


def test_wrong_statistics(molhiv: Path, tmp_path: Path) -> None:
    shutil.rmtree(molhiv)
    write_ogb(molhiv, graphs=13)
    with pytest.raises(UserError, match=r"graphs 12 \(found 13\)"):
        load(NAME, root=molhiv.parent)


def test_facts_come_from_ogb() -> None:
    assert ogb_facts(NAME)["split"] == "scaffold"
    assert ogb_facts("ogbg-molpcba")["eval metric"] == "ap"
    with pytest.raises(UserError, match="did you mean 'ogbg-molhiv'"):
        ogb_facts("ogbg-molhvi")
    with pytest.raises(UserError, match="predicts words"):
        read_ogb(Path("anywhere"), "ogbg-code2")
    for card in cards.cards().values():
        if card.source == "ogb":
            assert ogb_facts(card.name)["url"] in card.mirrors


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


DAMAGE = {
    "no labels": (lambda d: (d / "raw" / "graph-label.csv.gz").unlink(), "graph-label"),
    "no raw files": (lambda d: shutil.rmtree(d / "raw"), "edge.csv.gz is missing"),
    "cut edges": (lambda d: _cut(d / "raw" / "edge.csv.gz"), "damaged"),
    "cut split": (lambda d: _cut(d / "split" / "scaffold" / "test.csv.gz"), "test.csv.gz"),
    "no split": (lambda d: shutil.rmtree(d / "split"), "train.csv.gz: missing"),
    "few labels": (
        lambda d: (d / "raw" / "graph-label.csv.gz").write_bytes(lines([[1]] * 11)),
        "12 graphs, but 11 lines of labels",
    ),
    "few atoms": (
        lambda d: (d / "raw" / "node-feat.csv.gz").write_bytes(lines([[0] * 9] * 4)),
        "cut short",
    ),
    "not atoms": (
        lambda d: (d / "raw" / "node-feat.csv.gz").write_bytes(lines([[200] * 9] * 99)),
        "atom features",
    ),
    "edge to nowhere": (
        lambda d: (d / "raw" / "edge.csv.gz").write_bytes(lines([[0, 90]] * 99)),
        "an edge leads to a node that is not there",
    ),
    "few edges": (
        lambda d: (d / "raw" / "edge.csv.gz").write_bytes(lines([[0, 1]] * 2)),
        "edge.csv.gz is cut short",
    ),
    "split too far": (
        lambda d: (d / "split" / "scaffold" / "test.csv.gz").write_bytes(lines([[12]])),
        "splits speak of graph 12, of 12",
    ),
    "in two splits": (
        lambda d: shutil.copy(
            d / "split" / "scaffold" / "valid.csv.gz", d / "split" / "scaffold" / "test.csv.gz"
        ),
        "in two splits",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(what: str, molhiv: Path) -> None:
    damage, words = DAMAGE[what]
    damage(molhiv)
    with pytest.raises(UserError) as caught:
        load(NAME, root=molhiv.parent)
    assert words in str(caught.value)


def test_several_tasks_with_missing_labels(tmp_path: Path) -> None:
    folder = write_ogb(tmp_path / "tox")
    rows = [["" if (i + j) % 5 == 0 else (i + j) % 2 for j in range(12)] for i in range(12)]
    (folder / "raw" / "graph-label.csv.gz").write_bytes(lines(rows))
    tables, _, metric = read_ogb(folder, "ogbg-moltox21")
    assert metric == "rocauc"
    assert tables.classes == ()
    assert tables.y is not None
    assert tables.y.shape == (12, 12)
    assert np.isnan(tables.y.astype(float)).sum() == sum(row.count("") for row in rows)


class Answer(io.BytesIO):
    headers: dict[str, str] = {}  # noqa: RUF012


def _packed(folder: Path, top: str, extra: str | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{top}/{path.relative_to(folder)}")
        if extra:
            archive.writestr(extra, "x")
    return out.getvalue()


def test_a_download_is_unpacked_once(
    molhiv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [_packed(molhiv, "hiv")]
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer(bodies.pop()))
    assert load(NAME).info["found_in"].startswith("download")
    assert load(NAME).info["found_in"].startswith("cache")
    assert [p.name for p in (tmp_path / "cache" / "ogb").iterdir()] == ["ogbg_molhiv"]


@pytest.mark.parametrize(("top", "extra"), [("hiv", "../evil.txt"), (".", None), ("hiv/raw", None)])
def test_a_bad_archive_leaves_nothing(
    top: str, extra: str | None, molhiv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = _packed(molhiv, top, extra)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer(body))
    with pytest.raises(UserError, match="unpacked and renamed"):
        load(NAME)
    assert list((tmp_path / "cache" / "ogb").iterdir()) == []
    assert not list(tmp_path.rglob("evil.txt"))

"""Whole runs on made-up clips: training part, floors, report, resumption, transfer, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import small_clips, small_data, small_skeletons
from typer.testing import CliRunner

from halpgraph.cli import app
from halpgraph.costs import check
from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Split
from halpgraph.data.dataset import DataSet
from halpgraph.embeddings import evaluate_file, export
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.jobs import load_checkpoint
from halpgraph.layout import get_layout
from halpgraph.recipe import Recipe, validate
from halpgraph.rundir import RunDir
from halpgraph.runner import prepare, read_and_validate, run
from halpgraph.step_costs import StepCost
from halpgraph.streams import stream_channels

VIEW = {"name": "compose", "of": [{"name": "crop_resize", "min_frames": 8}, {"name": "shear"}]}


def tiny(**changes: Any) -> Recipe:
    content: dict[str, Any] = {
        "name": "sway",
        "data": {"name": "sway"},
        "views": [VIEW],
        "encoder": {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"},
        "method": {"name": "moco", "bank": 32, "momentum": 0.9, "projection": 8},
        "head": {"name": "halp", "bank": 16, "prototypes": 4, "positives": 8},
        "train": {"epochs": 2, "batch_size": 12},
        "arms": {"halp": {}, "moco": {"set": {"head": None}}},
        "control": "moco",
        "seeds": [0, 1],
        "evaluators": ["linear", "knn"],
        "floors": ["majority", "pose", "distances", "untrained"],
    }
    return validate(content | changes)


def go(folder: Path, data: DataSet | None = None, **changes: Any) -> RunDir:
    return run(
        tiny(**changes), runs=folder, jobs=1, quiet=True, dataset=data or small_skeletons(persons=2)
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return go(tmp_path_factory.mktemp("runs"))


def test_rows_differences_and_protocol(finished: RunDir) -> None:
    cell = finished.scores["cells"][0]
    rows = {(row["row"], row["evaluator"]) for row in cell["rows"]}
    names = ("pose", "distances", "untrained", "moco", "halp")
    assert rows == {("majority", "svm"), *((n, e) for n in names for e in ("linear", "knn"))}
    pairs = {(d["reference"], d["evaluator"]) for d in cell["differences"]}
    assert {("moco", "linear"), ("pose", "knn"), ("untrained", "linear")} <= pairs
    said = " ".join(finished.scores["protocol"])
    assert "the 24 training clips without labels and never those they are judged on" in said
    assert "leaving one subject out at a time" in said
    floors = sorted(p.name for p in (finished.path / "sway" / "floors" / "pose").iterdir())
    assert floors == ["seed-0"]  # no seed changes it
    assert len(list((finished.path / "sway" / "floors" / "untrained").iterdir())) == 2


def test_page_draws_clips_and_neighbours(finished: RunDir) -> None:
    page = (finished.path / "report.html").read_text()
    assert "Example sequences" in page
    assert page.count("Neighbour 1") >= 2
    assert page.count("<svg") > 8
    assert not re.search(r"\bnan\b|\bNone\b", re.sub(r"<[^>]*>", " ", page.split("<pre")[0]))


def test_test_clips_never_reach_the_encoder(finished: RunDir, tmp_path: Path) -> None:
    data = small_skeletons(persons=2)
    assert data.splits is not None
    test = data.splits["test"]
    for clip in test:  # other frames for every test clip
        bodies = slice(int(data.store.body_ptr[clip]), int(data.store.body_ptr[clip + 1]))
        for start in data.store.start[bodies].tolist():
            count = int(data.store.num_frames[clip])
            data.store.frames[start : start + count] *= -3
    other = go(tmp_path, data)
    for arm in ("halp", "moco"):
        a, b = (load_checkpoint(r.job("sway", arm, 0) / "checkpoint.pt") for r in (finished, other))
        assert all(
            torch.equal(a["method"][k], b["method"][k]) for k in a["method"] if "bank" not in k
        )
    z = [np.load(r.job("sway", "moco", 0) / "embeddings.npz")["z"] for r in (finished, other)]
    assert not np.array_equal(z[0][test], z[1][test])


def test_an_interrupted_run_ends_with_the_same_numbers(
    finished: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Trainer.train_epoch

    def once(self: Trainer) -> Any:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return train(self)

    monkeypatch.setattr("halpgraph.jobs.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(Trainer, "train_epoch", once)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    monkeypatch.setattr(Trainer, "train_epoch", train)
    again = go(tmp_path)
    for arm in ("halp", "moco"):
        for name in ("linear.json", "knn.json"):
            a, b = ((r.job("sway", arm, 0) / name).read_text() for r in (finished, again))
            assert json.loads(a)["predicted"] == json.loads(b)["predicted"]
        z = [np.load(r.job("sway", arm, 0) / "embeddings.npz")["z"] for r in (finished, again)]
        assert np.array_equal(z[0], z[1])


def test_streams_side_by_side_in_one_encoder(tmp_path: Path) -> None:
    method = {"name": "moco", "bank": 32, "projection": 8}
    grid = {"method.stream": ["motion", "motion+distances"]}
    done = go(tmp_path, method=method, grid=grid, seeds=[0], floors=["untrained"])
    cells = {cell["name"]: cell for cell in done.scores["cells"]}
    assert len(cells) == 2
    assert all(cell["rows"] for cell in cells.values())
    widths = []
    for name in cells:
        state = load_checkpoint(done.job(name, "moco", 0) / "checkpoint.pt")["method"]
        widths.append({v.size(1) for k, v in state.items() if k.endswith("gru.weight_ih_l0")})
    persons, joints = 2, 20
    channels = [3, 3 + stream_channels("distances", get_layout("kinect20"))]
    assert widths == [{persons * c * joints} for c in channels]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"floors": ["wl"]}, "floors: wl: not of skeletons"),
        ({"views": ["drop_nodes"]}, "drop_nodes"),
        ({"method": {"name": "moco", "stream": "skew"}}, "method.stream"),
        ({"method": {"name": "moco", "stream": "motion+skew"}}, "method.stream: stream skew: un"),
    ],
)
def test_what_cannot_go_together_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        go(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"views": ["identity"], "floors": []}, "encoder bigru: needs skeletons"),
        ({"views": ["identity"], "encoder": "gin"}, "floors: pose, distances: not of graphs"),
        ({"encoder": "gin", "floors": []}, "these graphs have no poses"),
    ],
)
def test_skeleton_parts_refuse_molecules(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        go(tmp_path, small_data(), **changes)


def test_graphcl_with_gin_runs_on_skeletons(tmp_path: Path) -> None:
    found = go(tmp_path, encoder={"name": "gin", "hidden": 8}, method="graphcl", floors=[])
    rows = {row["row"] for row in found.scores["cells"][0]["rows"]}
    assert rows == {"halp", "moco"}


def prepared(folder: Path, layout: str) -> Path:
    clips = small_clips(18, layout=layout)
    part = np.array([clip.fields["subject"] % 3 == 2 for clip in clips]).astype(np.int64)
    with ClipWriter(folder / "other", "other", get_layout(layout), ["slow", "quick"]) as writer:
        for clip in clips:
            writer.add(clip)
        writer.finish({"xsub": Split(part, "subject")})
    return folder / "other"


def test_another_set_through_a_trained_encoder(finished: RunDir, tmp_path: Path) -> None:
    other = prepared(tmp_path, "utd20")
    found = export(finished.path, tmp_path / "z.npz", on=str(other))
    assert found["graphs"] == 18
    assert "utd20 to kinect20: 20 of 20 joints shared" in found["notes"][0]
    content = np.load(tmp_path / "z.npz")
    assert {"z", "y", "id", "train", "test", "groups"} <= set(content.files)
    rows = evaluate_file(tmp_path / "z.npz", ["linear"])
    assert 0 <= rows[0]["metrics"]["accuracy"]["mean"] <= 1


def test_check_counts_fine_tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every arm and the untrained floor see each training clip once an epoch, for every seed."""
    cost = StepCost(seconds=0.5, activations=1.0, weights=1.0)
    monkeypatch.setattr("halpgraph.step_costs.step_cost", lambda *of: cost)
    plain = ["seeds=[0, 1]", "floors=[majority, untrained]", "data.split=xsub"]
    spent = []
    for judges in ("[linear, knn]", "[linear, {name: finetune, epochs: 7}]"):
        found = check("toy_stgcn", [*plain, f"evaluators={judges}"], runs=tmp_path)
        spent.append(found["cpu_seconds"])
    clips = len(prepare(read_and_validate("toy_stgcn", plain))[0].data.fit_store)
    assert len(found["arms"]) == 2
    assert spent[1] - spent[0] == pytest.approx(0.5 * 7 * clips * (2 + 1) * 2)


def test_check_without_the_data_says_the_cost_and_the_way() -> None:
    words = ["check", "ntu60_bigru", "--set", "encoder.hidden=8", "--set", "train.device=cpu"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert "halpgraph data prepare ntu60 --raw" in found["missing"]
    assert found["cpu_seconds"] > 0
    assert found["clips_to_train"] == 40091

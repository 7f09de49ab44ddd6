"""Whole runs on small data: the folder, reuse, kills, locks, full disks, damaged files."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small import small_data, small_recipe

from halpgraph import files, runner
from halpgraph.embeddings import read_arrays
from halpgraph.engine import Trainer
from halpgraph.environment import command
from halpgraph.errors import RunError, UserError
from halpgraph.files import read_json
from halpgraph.rundir import RunDir
from halpgraph.runner import run

ARMS = ("halp", "graphcl")


def small_run(runs: Path, **changes: Any) -> RunDir:
    jobs = changes.pop("jobs", 1)
    recipe = small_recipe(**changes)
    return run(recipe, runs=runs, dataset=small_data(), quiet=True, jobs=jobs)


def results(folder: RunDir) -> dict[str, Any]:
    """Everything that must be bit-equal: embeddings and scores, times left out."""
    found: dict[str, Any] = {}
    for path in sorted(folder.path.glob("small/*/seed-*/*")):
        name = str(path.relative_to(folder.path))
        if path.name == "embeddings.npz":
            found[name] = read_arrays(path)["z"].tobytes()
        elif path.name == "knn.json":
            content = json.loads(path.read_text())
            found[name] = (content["metrics"], content["predicted"])
        elif path.name == "metrics.jsonl":
            found[name] = [json.loads(line)["terms"] for line in path.read_text().splitlines()]
    assert len(found) == 12  # 2 arms x 2 seeds x (embeddings, scores, metrics)
    return found


def test_a_run_leaves_everything_a_report_needs(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    names = {p.name for p in folder.path.iterdir()}
    assert {"recipe.yaml", "environment.json", "scores.json", "scores.csv"} <= names
    assert {"report.html", "report.md", "small"} <= names
    for arm in ARMS:
        job = {p.name for p in folder.job("small", arm, 0).iterdir()}
        assert {"metrics.jsonl", "checkpoint.pt", "embeddings.npz", "knn.json", "knn.npz"} <= job
    environment = json.loads((folder.path / "environment.json").read_text())
    assert environment["versions"]["torch"]
    assert environment["peak_memory_mb"] > 0
    assert not list(folder.path.rglob("*.tmp"))
    (tmp_path / "plain").touch()  # others may read what they may read of a file simply made
    assert (folder.path / "report.html").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_scores_are_those_of_the_files(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    cell = folder.scores["cells"][0]
    for row in cell["rows"]:
        means = []
        for seed in (0, 1):
            path = folder.job("small", row["row"], seed) / "knn.json"
            means.append(np.mean(json.loads(path.read_text())["metrics"]["accuracy"]))
        assert row["metrics"]["accuracy"]["per_seed"] == pytest.approx(means)
    kinds = {row["row"]: row["kind"] for row in cell["rows"]}
    assert kinds == {"halp": "treatment", "graphcl": "control"}
    gap = cell["differences"][0]
    by_row = {row["row"]: row["metrics"]["accuracy"]["mean"] for row in cell["rows"]}
    assert gap["mean"] == pytest.approx(by_row["halp"] - by_row["graphcl"])


def test_predictions_name_their_graphs(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    content = json.loads((folder.job("small", "halp", 1) / "knn.json").read_text())
    assert content["id"] == list(range(40))
    assert sorted(set(content["fold"])) == [0, 1, 2]
    right = np.array(content["predicted"]) == np.array(content["y"])
    by_fold = [right[np.array(content["fold"]) == fold].mean() for fold in range(3)]
    assert by_fold == pytest.approx(content["metrics"]["accuracy"])


def test_processes_side_by_side_give_the_same_numbers(tmp_path: Path) -> None:
    one, two = small_run(tmp_path / "one"), small_run(tmp_path / "two", jobs=2)
    assert one.path.name == two.path.name
    assert results(one) == results(two)


def test_finished_run_is_reused_and_a_change_gets_a_new_folder(tmp_path: Path) -> None:
    first = small_run(tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in first.path.rglob("*") if p.is_file()}
    again = small_run(tmp_path)
    assert again.path == first.path
    assert {p: p.stat().st_mtime_ns for p in first.path.rglob("*") if p.is_file()} == stamps
    other = small_run(tmp_path, train__lr=0.02)
    assert other.path != first.path
    assert first.finished


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_run_goes_on_bit_equally(tmp_path: Path, jobs: int) -> None:
    """A process is killed by SIGKILL in mid-training; the same command ends with the same bits."""
    script = tmp_path / "go.py"
    script.write_text(
        textwrap.dedent("""
        import sys, time
        sys.path.insert(0, sys.argv[2])
        from small import small_data, small_recipe
        from halpgraph import engine, runner
        slow = engine.Trainer.train_epoch
        def train_epoch(self):
            time.sleep(0.15)
            return slow(self)
        engine.Trainer.train_epoch = train_epoch
        recipe = small_recipe(train__epochs=6, train__checkpoint_every=1)
        runs, _, jobs = sys.argv[1:]
        runner.run(recipe, runs=runs, dataset=small_data(), quiet=True, jobs=int(jobs))
        """)
    )
    runs = tmp_path / "killed"
    words = [sys.executable, script, runs, Path(__file__).parent, str(jobs)]
    process = subprocess.Popen(words)
    start = time.monotonic()
    while time.monotonic() - start < 120:
        lines = [p.read_text().count("\n") for p in runs.glob("*/small/*/seed-*/metrics.jsonl")]
        if sum(lines) >= 8:  # in the middle of the second job
            break
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.0)  # for its workers to notice
    left = next(runs.iterdir())
    assert not RunDir(left).finished
    changes = {"train__epochs": 6, "train__checkpoint_every": 1}
    resumed, whole = small_run(runs, **changes), small_run(tmp_path / "whole", **changes)
    assert resumed.path == left
    assert results(resumed) == results(whole)


def test_folder_in_use_by_another_process(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    (folder.path / "scores.json").unlink()
    with folder.locked(), pytest.raises(UserError, match="another process"):
        small_run(tmp_path)
    small_run(tmp_path)


def test_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).name == "embeddings.npz":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(RunError, match=r"embeddings\.npz.*No space left.*again"):
        small_run(tmp_path)
    monkeypatch.undo()
    left = next(tmp_path.iterdir())
    assert not list(left.rglob("*.tmp"))
    resumed = small_run(tmp_path)
    assert results(resumed) == results(small_run(tmp_path / "whole"))


def test_runs_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="--runs"):
        small_run(tmp_path / "file")


@pytest.mark.parametrize("name", ["checkpoint.pt", "embeddings.npz", "knn.json"])
def test_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    folder = small_run(tmp_path)
    (folder.path / "scores.json").unlink()
    job = folder.job("small", "halp", 0)
    if name == "checkpoint.pt":
        (job / "embeddings.npz").unlink()
    path = job / name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(RunError, match=name) as caught:
        small_run(tmp_path)
    assert "remove it" in str(caught.value)
    path.unlink()
    if name == "checkpoint.pt":
        (job / "metrics.jsonl").unlink()
    assert small_run(tmp_path).finished


def test_line_of_metrics_cut_short_is_made_good(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    whole = results(folder)
    job = folder.job("small", "halp", 0)
    (folder.path / "scores.json").unlink()
    (job / "embeddings.npz").unlink()
    with open(job / "metrics.jsonl", "a") as out:
        out.write('{"epoch": 4, "lo')
    assert results(small_run(tmp_path)) == whole


def test_nan_keeps_the_last_good_checkpoint_and_the_other_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.train_epoch

    def poisoned(self: Trainer) -> Any:
        if self.head is not None and self.epoch == 1:
            for parameter in self.method.parameters():
                parameter.data.fill_(float("nan"))
        return real(self)

    monkeypatch.setattr(Trainer, "train_epoch", poisoned)
    with pytest.raises(RunError, match=r"epoch 2: the loss is nan.*checkpoint\.pt"):
        small_run(tmp_path, train__checkpoint_every=1)
    folder = RunDir(next(tmp_path.iterdir()))
    assert (folder.job("small", "graphcl", 0) / "knn.json").is_file()
    monkeypatch.undo()
    state = Trainer(small_data().store, small_recipe().arm("halp"), 0)
    from halpgraph.jobs import load_checkpoint

    state.load_state(load_checkpoint(folder.job("small", "halp", 0) / "checkpoint.pt"))
    assert state.epoch == 1


def test_class_smaller_than_folds_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fewer than the 30 folds"):
        small_run(tmp_path, folds=30)
    assert not list(tmp_path.iterdir())


def test_the_title_names_the_user_s_own_data(tmp_path: Path) -> None:
    assert small_run(tmp_path).scores["title"].endswith("on small")


def test_an_arm_that_is_its_control_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"arms\.halp: the same as its control graphcl"):
        small_run(tmp_path, head=None)
    assert not list(tmp_path.iterdir())


def test_one_class_is_refused_before_training(tmp_path: Path) -> None:
    data = small_data()
    data.y = np.zeros(len(data.store), np.int64)
    with pytest.raises(UserError, match="small: y: all graphs are of one class"):
        run(small_recipe(), runs=tmp_path, dataset=data, quiet=True, jobs=1)
    assert not list(tmp_path.iterdir())


def test_the_command_is_what_a_shell_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/a/bin/halpgraph", "run", "x", "--set", "seeds=[0, 1]"])
    assert command() == "halpgraph run x --set 'seeds=[0, 1]'"
    monkeypatch.setattr(sys, "argv", ["/a/halpgraph/__main__.py", "run", "x"])
    assert command() == "halpgraph run x"
    monkeypatch.setattr(sys, "argv", ["mine.py", "3"])
    assert command() == "python mine.py 3"


def test_missing_tracker_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"wandb is not installed.*halpgraph\[wandb\]"):
        small_run(tmp_path, trackers=["wandb"])


def test_tensorboard_gets_every_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = small_run(tmp_path, trackers=["tensorboard"])
    events = EventAccumulator(str(folder.job("small", "halp", 0) / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("loss")] == [1, 2, 3]


def test_wandb_gets_every_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls are those of wandb's documented API; the service itself is not reached."""
    logged: list[tuple[str, int, float]] = []

    class Run:
        def __init__(self, name: str) -> None:
            self.name = name

        def log(self, numbers: dict[str, float], step: int) -> None:
            logged.append((self.name, step, numbers["loss"]))

        def finish(self) -> None:
            logged.append((self.name, -1, 0.0))

    def init(*, project: str, name: str, dir: str, config: dict[str, Any]) -> Run:
        assert project == "halpgraph"
        assert config["train"]["epochs"] == 3
        return Run(name)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    small_run(tmp_path, trackers=["wandb"])
    assert [step for name, step, _ in logged if name == "small/halp/seed-0"] == [1, 2, 3, -1]


def test_no_labels_still_embeds(tmp_path: Path) -> None:
    from small import small_graphs

    from halpgraph.data.load import from_list

    graphs = small_graphs()
    for graph in graphs:
        del graph.y
    data = from_list(graphs, name="small")
    folder = run(small_recipe(), runs=tmp_path, dataset=data, quiet=True, jobs=1)
    assert (folder.job("small", "halp", 0) / "embeddings.npz").is_file()
    report = (folder.path / "report.md").read_text()
    assert "no class labels: they were embedded, nothing was evaluated" in report
    protocol = " ".join(folder.scores["protocol"])
    assert "no class labels, so nothing was evaluated" in protocol
    assert "folds" not in protocol.replace("the views and the folds", "")


def test_another_official_split_is_another_run(tmp_path: Path) -> None:
    found = []
    for last in (39, 38):
        data = small_data()
        data.splits = {
            "train": np.arange(24),
            "valid": np.arange(24, 32),
            "test": np.arange(32, last),
        }
        found.append(run(small_recipe(), runs=tmp_path, dataset=data, quiet=True, jobs=1))
    assert found[0].path != found[1].path
    tested = [
        sum(f >= 0 for f in read_json(folder.job("small", "halp", 0) / "knn.json")["fold"])
        for folder in found
    ]
    assert tested == [7, 6]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__features": ["degree"]}, r"data\.features: the dataset is made already"),
        ({"grid": {"data.degree_cap": [4, 8]}}, r"grid runs over data\.degree_cap"),
    ],
)
def test_settings_that_a_dataset_cannot_follow_are_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        small_run(tmp_path, **changes)
    with pytest.raises(UserError, match="overrides"):
        run(small_recipe(), overrides=["seeds=[3]"], runs=tmp_path)


def test_an_arm_on_a_gpu_is_not_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backends = []

    class Pool:
        def __init__(self, n_jobs: int, backend: str, batch_size: int) -> None:
            backends.append(backend)

        def __call__(self, calls: object) -> list[None]:
            return []

    monkeypatch.setattr(runner.joblib, "Parallel", Pool)
    arms = {"here": {"set": {"head": None}}, "there": {"set": {"train.device": "cuda"}}}
    recipe = small_recipe(arms=arms, control="here")
    wave, _ = runner.plan_jobs(RunDir(tmp_path), [runner.Cell("small", recipe, small_data())])
    runner._side_by_side(wave, {}, 2)
    assert backends == ["loky"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked on Linux")
def test_a_killed_worker_ends_the_run_which_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, real = os.getpid(), Trainer.train_epoch

    def killed(self: Trainer) -> Any:
        if os.getpid() != parent and self.head is not None and self.epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self)

    monkeypatch.setattr(Trainer, "train_epoch", killed)
    with pytest.raises(RunError, match="a worker process was killed"):
        small_run(tmp_path, jobs=2)
    monkeypatch.undo()
    assert results(small_run(tmp_path, jobs=2)) == results(small_run(tmp_path / "whole"))

"""Late fusion: by hand, by id, and refusals; members from whole small runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import small_data, small_recipe
from typer.testing import CliRunner

from halpgraph import ensemble as module
from halpgraph import ensemble_members as members
from halpgraph.cli import app
from halpgraph.embeddings import evaluate_file, read_arrays
from halpgraph.ensemble import checked_weights, ensemble, fuse, score
from halpgraph.ensemble_members import Certainty, align
from halpgraph.errors import UserError
from halpgraph.recipe import validate
from halpgraph.recipe_files import read_recipe
from halpgraph.rundir import RunDir
from halpgraph.runner import run


def certainty(n: int = 12, seed: int = 0, classes: int = 3) -> Certainty:
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.ones(classes), n)
    y = np.arange(n) % classes
    return Certainty(np.arange(n) * 10, np.arange(n) % 2, 5 + y, 5 + np.arange(classes), table)


def test_fusion_is_the_weighted_sum() -> None:
    a, b = certainty(seed=0).probabilities, certainty(seed=1).probabilities
    for found, expected in (
        (fuse([a, b], checked_weights(None, 2)), (a + b) / 2),
        (fuse([a, b], checked_weights([0.6, 0.2], 2)), 0.75 * a + 0.25 * b),
    ):
        np.testing.assert_allclose(found, expected)
        np.testing.assert_allclose(found.sum(1), 1.0)


def test_scores_by_hand() -> None:
    truth = certainty()
    found = score(truth, truth.probabilities)
    for fold in (0, 1):
        right = [
            5 + max(range(3), key=lambda c: row[c]) == y
            for row, y, f in zip(truth.probabilities, truth.y, truth.fold, strict=True)
            if f == fold
        ]
        assert found["accuracy"][fold] == pytest.approx(np.mean(right))
    assert "roc_auc" not in found
    assert "roc_auc" in score(certainty(classes=2), certainty(classes=2).probabilities)


def test_members_are_matched_by_id_and_never_by_position() -> None:
    first, second = certainty(seed=0), certainty(seed=1)
    order = np.random.default_rng(0).permutation(12)
    moved = Certainty(*(getattr(second, k)[order] for k in ("id", "fold", "y")), second.classes,
                      second.probabilities[order])  # fmt: skip
    np.testing.assert_array_equal(
        align([first, moved], ["a", "b"])[1].probabilities, second.probabilities
    )


def test_members_that_do_not_go_together_are_named() -> None:
    first = certainty()
    ids, fold, y = first.id.copy(), first.fold.copy(), first.y.copy()
    ids[3], fold[2], y[4] = 31, 1, 6 if first.y[4] != 6 else 7
    for change, why in (
        ({"id": ids}, "2 clips are in one of the two only .id 30"),
        ({"fold": fold}, "1 clips have other test folds .id 20"),
        ({"y": y}, "1 clips have other labels .id 40"),
        ({"classes": first.classes + 1}, "the classes are not the same"),
    ):
        with pytest.raises(UserError, match=f"bone, seed 0 does not go with joint, seed 0: {why}"):
            align([first, replace(first, **change)], ["joint, seed 0", "bone, seed 0"])


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [float("nan"), 1.0]])
def test_weights_that_make_no_sense(weights: list[float]) -> None:
    with pytest.raises(UserError, match="--weights"):
        checked_weights(weights, 2)


TUNE = {"name": "finetune", "epochs": 2, "optimizer": "adam", "drops": []}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    recipe = small_recipe(
        evaluators=["knn", {"name": "linear", "grid": [1.0]}, TUNE],
        floors=["untrained"],
        train__epochs=1,
    )
    return run(
        recipe, runs=tmp_path_factory.mktemp("runs"), dataset=small_data(), quiet=True, jobs=1
    )


def test_two_arms_of_a_run(finished: RunDir) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.path.rglob("*")}
    names = [f"{finished.path}:halp", f"{finished.path}:small/graphcl"]
    found = ensemble(names, [3, 1], "linear")
    assert found["seeds"] == [0, 1]
    assert [row["weight"] for row in found["members"]] == [0.75, 0.25]
    accuracy = []
    for seed in (0, 1):
        tables = []
        for arm in ("halp", "graphcl"):
            content = read_arrays(finished.job("small", arm, seed) / "linear.npz")
            tables.append(content["probabilities"][np.argsort(content["id"])])
        right = (0.75 * tables[0] + 0.25 * tables[1]).argmax(1) == np.arange(40) % 2
        content = read_arrays(finished.job("small", "halp", seed) / "linear.npz")
        fold = content["fold"][np.argsort(content["id"])]
        accuracy.append([right[fold == k].mean() for k in range(3)])
    assert found["metrics"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracy))
    scores = finished.scores["cells"][0]["rows"]
    for row, arm in zip(found["members"], ("halp", "graphcl"), strict=True):
        told = next(r for r in scores if (r["row"], r["evaluator"]) == (arm, "linear"))
        assert row["metrics"]["accuracy"]["mean"] == pytest.approx(
            told["metrics"]["accuracy"]["mean"]
        )
    gap = found["metrics"]["accuracy"]["mean"] - found["members"][0]["metrics"]["accuracy"]["mean"]
    assert found["differences"]["accuracy"]["mean"] == pytest.approx(gap)
    assert {p: p.stat().st_mtime_ns for p in finished.path.rglob("*")} == before


@pytest.mark.parametrize("pattern", ["*", "small/*", "sm*/*", "*/*"])
def test_a_star_stands_for_all_that_fit(finished: RunDir, pattern: str) -> None:
    written = ensemble([f"{finished.path}:{arm}" for arm in finished.recipe["arms"]])
    assert ensemble([f"{finished.path}:{pattern}"]) == written


def test_a_floor_may_be_a_member(finished: RunDir) -> None:
    found = ensemble([f"{finished.path}:halp", f"{finished.path}:sm*/untrained"], None, "linear")
    (told,) = [
        row["metrics"]["accuracy"]["mean"]
        for row in finished.scores["cells"][0]["rows"]
        if (row["row"], row["evaluator"]) == ("untrained", "linear")
    ]
    assert found["members"][1]["metrics"]["accuracy"]["mean"] == pytest.approx(told)
    with pytest.raises(UserError, match="pose is not there"):
        ensemble([f"{finished.path}:halp", f"{finished.path}:pose"])


def test_the_command(finished: RunDir) -> None:
    names = [f"{finished.path}:halp", f"{finished.path}:graphcl"]
    said = CliRunner().invoke(app, ["ensemble", *names, "--weights", "0.6,0.4"])
    assert said.exit_code == 0, said.output
    assert "0.600 x" in said.output
    assert "together minus" in said.output
    told = json.loads(CliRunner().invoke(app, ["ensemble", *names, "--json"]).output)
    assert told["evaluator"] == "knn"


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        (["{run}:halp"], {}, "two members"),
        (["{run}", "{run}:halp"], {}, "choose one of .*halp.* write it as RUN:ARM"),
        (["{run}:halp", "{run}:hapl"], {}, "hapl is not there"),
        (["{run}:halp", "nowhere:halp"], {}, "nowhere"),
        (["{run}:hal*"], {}, "two members"),
        (["{run}:small/x*"], {}, "nothing fits; there are small/"),
        (["{run}:halp", "{run}:graphcl"], {"evaluator": "svm"}, "no svm with seed 0"),
    ],
)
def test_missing_members(finished: RunDir, names: list[str], more: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ensemble([name.format(run=finished.path) for name in names], **more)


def test_weights_are_searched_inside_the_training_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, _ = read_recipe("toy_stgcn")
    content |= {"seeds": [0], "floors": [], "evaluators": [{"name": "linear", "grid": [1.0]}]}
    content["encoder"] = {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"}
    content["train"]["epochs"] = 1
    content["method"]["bank"] = 64
    finished = run(validate(content), runs=tmp_path, quiet=True, jobs=1)
    names = [f"{finished.path}:{arm}" for arm in finished.recipe["arms"]]
    before = ensemble(names)["metrics"]
    found = ensemble(names, "search")
    (weights,) = found["searched"].values()
    assert sum(weights) == pytest.approx(1)
    assert [row["weight"] for row in found["members"]] == pytest.approx(weights)
    given = ensemble(names, weights)
    assert found["metrics"]["accuracy"]["mean"] == given["metrics"]["accuracy"]["mean"]
    assert given["searched"] is None
    truth = members.read

    def lied(one: members.Member, seed: int, evaluator: str) -> Certainty:
        real = truth(one, seed, evaluator)
        return replace(real, y=np.roll(real.y, 1))  # other test labels

    monkeypatch.setattr(members, "read", lied)
    assert ensemble(names)["metrics"] != before
    assert ensemble(names, "search")["searched"] == found["searched"]


def test_seeds_must_be_the_same(finished: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    one = module.member(f"{finished.path}:halp")
    other = replace(one, folders={0: one.folders[0]}, name="short")
    monkeypatch.setattr(module, "member", lambda name: {"a": one, "b": other}[name])
    with pytest.raises(UserError, match=r"short has the seeds \[0\]"):
        ensemble(["a", "b"])


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Return a run of four seeds on one named split."""
    content, _ = read_recipe("toy_stgcn")
    content |= {"seeds": [3, 0, 2, 1], "floors": ["untrained"]}
    content |= {"evaluators": [{"name": "linear", "grid": [1.0]}]}
    content["encoder"] = {"name": "bigru", "hidden": 4, "layers": 1, "pool": "mean"}
    content["train"]["epochs"] = 1
    content["method"]["bank"] = 64
    return run(validate(content), runs=tmp_path_factory.mktemp("four"), quiet=True, jobs=1)


@pytest.mark.parametrize("each", [2, 4])
def test_several_trainings_of_every_member(four: RunDir, each: int) -> None:
    arms = list(four.recipe["arms"])
    (cell,) = (path.parent.name for path in four.path.glob("*/data.json"))
    found = ensemble([f"{four.path}:{arm}" for arm in arms], [0.9, 0.1], "linear", each=each)
    assert (found["seeds"], found["each"]) == ([3, 0, 2, 1], each)
    fused, alone = [], []
    for group in [[3, 0], [2, 1]] if each == 2 else [[3, 0, 2, 1]]:
        total, right = 0, []
        for arm, weight in zip(arms, (0.9, 0.1), strict=True):
            for seed in group:
                content = read_arrays(four.job(cell, arm, seed) / "linear.npz")
                told = json.loads((four.job(cell, arm, seed) / "linear.json").read_text())
                y = dict(zip(told["id"], told["y"], strict=True))
                truth = np.searchsorted(content["classes"], [y[i] for i in content["id"].tolist()])
                total = total + weight / each * content["probabilities"].astype(np.float64)
                if arm == arms[0]:
                    right.append((content["probabilities"].argmax(1) == truth).mean())
        fused.append((total.argmax(1) == truth).mean())
        alone.append(np.mean(right))
    assert found["metrics"]["accuracy"]["per_seed"] == pytest.approx(fused)
    first = found["members"][0]["metrics"]["accuracy"]["per_seed"]
    assert first == pytest.approx(alone)
    assert len({*fused, *alone}) > 1


def test_trainings_of_one_member_alone(four: RunDir) -> None:
    name = f"{four.path}:*/untrained"
    said = CliRunner().invoke(app, ["ensemble", name, "--each", "2", "--evaluator", "linear"])
    assert said.exit_code == 0, said.output
    assert "together, 2 trainings each: accuracy" in said.output
    with pytest.raises(UserError, match="two members"):
        ensemble([name])


def test_trainings_that_cannot_be_fused(four: RunDir, finished: RunDir) -> None:
    name = f"{four.path}:*"
    for each, more, message in (
        (3, {}, "--each 3: does not divide the 4 seeds"),
        (0, {}, "--each 0"),
        (2, {"weights": "search"}, "weights are searched of one training each"),
    ):
        with pytest.raises(UserError, match=message):
            ensemble([name], each=each, **more)
    with pytest.raises(UserError, match=r"--each 2: .*every seed has test folds of its own"):
        ensemble([f"{finished.path}:*"], each=2)


def test_fine_tuning_ran_on_every_arm_and_the_untrained_floor(finished: RunDir) -> None:
    rows = finished.scores["cells"][0]["rows"]
    tuned = [row["row"] for row in rows if row["evaluator"] == "finetune"]
    assert sorted(tuned) == ["graphcl", "halp", "untrained"]
    assert (finished.job("small", "halp", 0) / "finetune.npz").is_file()


def test_fine_tuning_loads_the_checkpoint_strictly(tmp_path: Path) -> None:
    import torch

    from halpgraph.jobs import Job, run_job

    recipe, data = small_recipe(evaluators=[TUNE], train__epochs=1).arm("halp"), small_data()
    job = Job("arm", "small", "halp", 0, recipe, tmp_path)
    assert run_job(job, data) is None
    right = json.loads((tmp_path / "finetune.json").read_text())
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    for spoil, message in (
        (lambda s: s["method"].popitem(), "does not fit"),
        (lambda s: s.update(epoch=0), "of epoch 0, not the last"),
    ):
        (tmp_path / "finetune.json").unlink(missing_ok=True)
        other = {**state, "method": dict(state["method"])}
        spoil(other)
        torch.save(other, path)
        assert message in str(run_job(job, data))
        assert not (tmp_path / "finetune.json").exists()
    path.unlink()
    assert "missing, and an evaluator needs the encoder" in str(run_job(job, data))
    torch.save(state, path)
    assert run_job(job, data) is None
    again = json.loads((tmp_path / "finetune.json").read_text())
    assert again["predicted"] == right["predicted"]
    state["method"] = {k: torch.zeros_like(v) for k, v in state["method"].items()}
    torch.save(state, path)
    (tmp_path / "finetune.json").unlink()
    run_job(job, data)
    assert json.loads((tmp_path / "finetune.json").read_text())["predicted"] != right["predicted"]


def test_an_embeddings_file_has_no_encoder(tmp_path: Path) -> None:
    np.savez(tmp_path / "z.npz", z=np.zeros((40, 2)), y=np.arange(40) % 2)
    with pytest.raises(UserError, match="finetune needs the encoder: name it in a recipe's"):
        evaluate_file(tmp_path / "z.npz", ["finetune"], 2, 1)

"""The command line as a user types it: answers, exit codes, JSON, speed of --help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import small_data, small_graphs, small_recipe
from typer.testing import CliRunner

from halpgraph.cli import app
from halpgraph.errors import HalpgraphError
from halpgraph.registry import ROOMS
from halpgraph.runner import run

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ["run", "check", "list", "show", "embed", "evaluate", "compare", "report"]


def call(*words: str) -> str:
    """Run a command; a halpgraph error comes through, anything else must not happen."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, HalpgraphError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return run(small_recipe(), runs=runs, dataset=small_data(), quiet=True, jobs=1).path


@pytest.mark.parametrize("words", [[c] for c in COMMANDS] + [["data", c] for c in ("list", "get")])
def test_every_command_has_help_with_an_example(words: list[str]) -> None:
    text = call(*words, "--help")
    assert "Example: halpgraph" in " ".join(text.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['halpgraph', '--help']\n"
        "from halpgraph.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("words", [["list"], ["show", "MUTAG"], ["data", "list"]])
def test_looking_things_up_does_not_import_torch(words: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['halpgraph', *{words!r}]\n"
        "from halpgraph.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_list_names_everything() -> None:
    found = json.loads(call("list", "--json"))
    for room, registry in ROOMS.items():
        assert [row["name"] for row in found[room]] == registry.names()
        assert all(row["summary"] for row in found[room])
    assert {"MUTAG", "PROTEINS", "NCI1", "DD"} <= {row["name"] for row in found["data"]}
    assert {"graphcl_mutag", "table8"} <= {row["name"] for row in found["recipes"]}
    assert "gin" in call("list", "encoders")


def test_show_gives_settings_and_source() -> None:
    text = call("show", "halp")
    assert "hardness" in text
    assert "arxiv.org/abs/2304.00387" in text
    assert "188" in call("show", "MUTAG")
    assert "extends" in call("show", "graphcl_mutag")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list", "vews"], "did you mean 'views'"),
        (["show", "hlap"], "did you mean 'halp'"),
        (["run", "graphcl_mutga"], "did you mean 'graphcl_mutag'"),
        (["check", "graphcl_mutag", "--set", "encoder.hiden=3"], "did you mean 'hidden'"),
        (["check", "graphcl_mutag", "--set", "data.name=NOSUCHSET"], "NOSUCHSET"),
        (["embed", "nowhere", "--out", "z.npz"], "not a run's folder"),
        (["report", "nowhere"], "not a run's folder"),
        (["evaluate", "nowhere.npz"], "no such file"),
    ],
)
def test_user_errors_say_what_instead(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HalpgraphError, match=expected) as caught:
        call(*words)
    assert caught.value.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_exit_codes_of_the_installed_command() -> None:
    command = [sys.executable, "-m", "halpgraph.cli"]
    bad = subprocess.run([*command, "show", "hlap"], capture_output=True, text=True)
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: ")
    assert "Traceback" not in bad.stderr
    unknown = subprocess.run([*command, "show"], capture_output=True, text=True)
    assert unknown.returncode == 2
    good = subprocess.run([*command, "list", "heads"], capture_output=True, text=True)
    assert good.returncode == 0


def test_runs_as_a_module_too() -> None:
    command = [sys.executable, "-m", "halpgraph", "list", "heads"]
    assert "halp" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_check_is_valid_and_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = json.loads(call("check", "graphcl_mutag", "--set", "seeds=[0,1]", "--json"))
    assert found["cells"][0]["graphs"] == 188
    assert found["trainings"] == 4
    assert found["minutes"] > 0
    assert found["state"] == "new"
    text = call("check", "graphcl_mutag", "--jobs", "1", "--runs", "elsewhere")
    assert "188 graphs" in text
    assert "elsewhere/graphcl_mutag-" in text
    assert not list(tmp_path.iterdir())


def test_run_prints_a_table_and_the_report(tmp_path: Path) -> None:
    words = ["--set", "seeds=[0]", "--set", "train.epochs=1", "--set", "evaluators=[knn]"]
    words += ["--set", "floors=[]", "--jobs", "1", "--runs", str(tmp_path)]
    text = call("run", "graphcl_mutag", *words)
    assert "GraphCL + HaLP" in text
    assert "report.html" in text
    known = json.loads(call("check", "graphcl_mutag", *words, "--json"))
    assert known["state"].startswith("finished")
    again = json.loads(call("run", "graphcl_mutag", *words, "--json"))
    assert again["run"] == known["run"]
    assert Path(again["report"]).is_file()
    assert again["scores"]["cells"][0]["name"] == "MUTAG"


def test_embed_then_evaluate(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "z.npz"
    text = call("embed", str(finished), "--out", str(out), "--arm", "graphcl", "--seed", "1")
    assert "40 graphs" in text
    rows = json.loads(
        call("evaluate", str(out), "--with", "knn", "--folds", "3", "--seeds", "2", "--json")
    )
    assert rows[0]["evaluator"] == "knn"
    assert rows[0]["metrics"]["accuracy"]["n_folds"] == 3
    # the run's second seed used the same embeddings and folds as the second split here
    scores = json.loads((finished / "small/graphcl/seed-1/knn.json").read_text())
    expected = np.mean(scores["metrics"]["accuracy"])
    assert rows[0]["metrics"]["accuracy"]["per_seed"][1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--arm", "hapl"], "did you mean 'halp'"),
        (["--seed", "9"], "--seed 9"),
        (["--cell", "MUTAG"], "--cell MUTAG"),
    ],
)
def test_embed_of_what_is_not_there(
    finished: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    with pytest.raises(HalpgraphError, match=expected):
        call("embed", str(finished), "--out", str(tmp_path / "z.npz"), *words)
    assert not (tmp_path / "z.npz").exists()


def _file(tmp_path: Path, **arrays: Any) -> str:
    path = tmp_path / "any.npz"
    np.savez(path, **arrays)
    return str(path)


Z, Y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"z": Z}, "no array 'y'"),
        ({"y": Y}, "no array 'z'"),
        ({"z": Z[:5], "y": Y}, "5 rows and y 30"),
        ({"z": Z[:, 0], "y": Y}, r"shape \[n, D\]"),
        ({"z": np.where(Z > 2, np.nan, Z), "y": Y}, "NaN"),
        ({"z": Z, "y": np.zeros(30)}, "two classes"),
        ({"z": Z, "y": Y, "id": np.zeros(30)}, "id must name"),
        ({"z": Z, "y": Y + 0.5}, "whole numbers"),
        ({"z": Z, "y": Y, "train": np.arange(20)}, "no test"),
        ({"z": Z, "y": np.array([{}] * 30, dtype=object)}, "plain arrays"),
    ],
)
def test_evaluate_refuses_files_it_cannot_trust(
    tmp_path: Path, arrays: dict[str, Any], expected: str
) -> None:
    with pytest.raises(HalpgraphError, match=expected):
        call("evaluate", _file(tmp_path, **arrays), "--with", "knn", "--folds", "3")


def test_evaluate_uses_named_splits(tmp_path: Path) -> None:
    path = _file(tmp_path, z=Z, y=Y, train=np.arange(20), test=np.arange(20, 30))
    rows = json.loads(call("evaluate", path, "--with", "knn", "--seeds", "1", "--json"))
    assert rows[0]["metrics"]["accuracy"]["n_folds"] == 1
    text = call("evaluate", path, "--with", "knn")
    assert "accuracy" in text
    assert "interval" not in text  # there is none of one value
    assert "over splits" not in text  # one split is no spread, whatever --seeds says


def test_compare_two_runs(finished: Path, tmp_path: Path) -> None:
    other = run(
        small_recipe(train__lr=0.02), runs=tmp_path, dataset=small_data(), quiet=True, jobs=1
    )
    rows = json.loads(call("compare", str(finished), str(other.path), "--json"))
    assert {row["metric"] for row in rows} >= {"accuracy"}
    text = call("compare", str(finished), str(other.path))
    assert all(row["verdict"] in text for row in rows)


def test_report_is_written_again(finished: Path) -> None:
    (finished / "report.html").unlink()
    assert "report.html" in call("report", str(finished))
    assert (finished / "report.html").is_file()


def test_data_commands(tmp_path: Path) -> None:
    rows = json.loads(call("data", "list", "--json"))
    assert {row["name"] for row in rows} >= {"MUTAG", "DD"}
    found = json.loads(call("data", "check", "MUTAG", "--json"))
    assert found["statistics"]["graphs"] == 188
    assert Path(json.loads(call("data", "get", "MUTAG", "--json"))["path"]).exists()


def test_estimator_in_a_scikit_learn_pipeline() -> None:
    import pickle

    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    from halpgraph import GraphEmbedder

    graphs, y = small_graphs(), np.array([int(g.y) for g in small_graphs()])
    embedder = GraphEmbedder(epochs=2, overrides={"train.batch_size": 16})
    pipe = make_pipeline(clone(embedder), LogisticRegression())
    assert cross_val_score(pipe, graphs, y, cv=2).shape == (2,)
    z = embedder.fit(graphs).transform(graphs)
    assert z.shape == (40, 96)
    np.testing.assert_allclose(embedder.transform(graphs[:1]), z[:1], rtol=1e-5, atol=1e-5)
    again = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(again.transform(graphs), z)
    assert len(embedder.history_) == 2
    with pytest.raises(HalpgraphError, match="torch_geometric"):
        embedder.transform([3])  # type: ignore[list-item]
    with pytest.raises(HalpgraphError, match="no graphs"):
        embedder.fit([])

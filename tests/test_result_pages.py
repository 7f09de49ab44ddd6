"""Pages of results: the scripts in docs/ say of small runs what the runs say themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from halpgraph.ensemble import ensemble
from halpgraph.errors import UserError
from halpgraph.recipe import validate
from halpgraph.rundir import RunDir
from halpgraph.runner import run

DOCS = Path(__file__).resolve().parent.parent / "docs"
SMALL: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "data": {"name": "toy", "split": "xsub", "frames": 16},
    "views": [{"name": "crop_resize", "min_frames": 8}],
    "encoder": {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"},
    "method": {"name": "moco", "bank": 64, "momentum": 0.9, "projection": 8},
    "head": {"name": "halp", "bank": 32, "prototypes": 4, "positives": 8, "start": 1},
    "train": {"epochs": 2, "batch_size": 64},
    "arms": {"halp": {"label": "MoCo + HaLP"}, "moco": {"label": "MoCo", "set": {"head": None}}},
    "control": "moco",
    "seeds": [0, 1],
    "evaluators": [{"name": "linear", "grid": [1.0]}, "knn"],
    "floors": ["untrained"],
}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])


def go(folder: Path, **changes: Any) -> RunDir:
    return run(validate(SMALL | changes), runs=folder, jobs=1, quiet=True)


def accuracies(finished: RunDir, row: str, evaluator: str) -> list[float]:
    return [
        found["metrics"]["accuracy"]["mean"]
        for cell in finished.scores["cells"]
        for found in cell["rows"]
        if (found["row"], found["evaluator"]) == (row, evaluator)
    ]


@pytest.mark.slow
def test_streams_alone_together_and_over_the_epochs(tmp_path: Path) -> None:
    import make_skeleton
    import make_three_streams
    from fused import fuse, fused_table, gap, shown

    streams = ["joint", "bone", "motion"]
    finished = go(tmp_path, grid={"method.stream": streams})
    alone = go(tmp_path, train=SMALL["train"] | {"monitor": 1})
    text = "\n".join([*fused_table(finished), make_skeleton.page([alone.path])])
    fused = {arm: fuse(finished, arm, streams, None, "linear") for arm in ("moco", "halp")}
    found = [one["name"] for one in fused["moco"]["members"]]
    assert all(f":stream-{stream}/" in name for stream, name in zip(streams, found, strict=True))
    for arm, label in (("moco", "MoCo"), ("halp", "MoCo + HaLP")):
        (line,) = [x for x in text.splitlines() if x.startswith(f"| linear | {label} |")]
        cells = [shown(one) for one in fused[arm]["members"]] + [f"**{shown(fused[arm])}**"]
        assert " | ".join(cells) in line
        assert (gap(fused["halp"], fused["moco"]) in line) == (arm == "halp")
    assert "HaLP starts after epoch 1" in text
    assert "| epoch | 1 | 2 |" in text
    assert f"{100 * accuracies(alone, 'moco', 'linear')[0]:.1f}" in text
    three = make_three_streams.page([finished.path])
    assert f"| MoCo | {shown(fused['moco']['members'][0])} |" in three


@pytest.mark.slow
def test_what_is_fused_is_chosen_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import make_fused
    from fused import shown

    monkeypatch.setattr(make_fused, "SHOWN", 100)
    streams, splits = ["joint", "joint+motion"], ["inside:xsub:1", "inside:xsub:3"]
    same = {"floors": ["untrained", "distances"]}
    only = {"head": None, "arms": {"moco": {"label": "MoCo"}}, "control": None}
    grid = {"data.split": splits, "method.stream": streams}
    search = go(tmp_path, **same, **only, grid=grid)
    test = go(tmp_path, **same, grid={"method.stream": streams})
    table, best = make_fused.chosen(make_fused.Fusible(search))
    found = {}
    for members in make_fused.sets_of(streams):
        rows = []
        for split in splits:
            cell = f"{search.path}:split-{split.replace(':', '-')}_stream-{{}}/{{}}"
            mine = [m for m in members if m in streams]
            named = [(stream, "moco") for stream in mine]
            named += [("joint", "distances")] * ("hand-made" in members)
            named += [(stream, "untrained") for stream in mine if "untrained twins" in members]
            rows.append(
                ensemble([cell.format(a.replace("+", "-"), b) for a, b in named], None, "linear")
            )
        found[members] = sum(row["metrics"]["accuracy"]["mean"] for row in rows) / 2
    assert len(found) == 10  # both streams; each, and both: hand-made member, twins, all of them
    assert found[best["moco", "linear"]] == max(found.values())
    for members, value in found.items():
        (line,) = [x for x in table if x.startswith(f"| {' + '.join(members)} |")]
        untrained, trained = line.split("|")[2], line.split("|")[4]
        assert f"{100 * value:.1f}" in trained
        assert (not untrained.strip()) == ("untrained twins" in members)
    text = make_fused.page([test.path, search.path])
    names = make_fused.names(make_fused.Fusible(test), "halp", best["moco", "linear"])
    fused = ensemble(names, None, "linear")["metrics"]["accuracy"]
    (line,) = [x for x in text.splitlines() if x.startswith("| MoCo + HaLP | linear |")]
    assert f"**{100 * fused['mean']:.1f} ± {100 * fused['sd_seeds']:.1f}**" in line
    assert f"| {' + '.join(best['moco', 'linear'])} |" in line

    # Both trainings of every encoder together, chosen anew.
    _, best = make_fused.chosen(make_fused.Fusible(search, each=2))
    names = make_fused.names(make_fused.Fusible(test), "moco", best["moco", "linear"])
    ones, twos = (ensemble(names, None, "linear", each=each) for each in (1, 2))
    lines = [
        x
        for x in make_fused.page([test.path, search.path], 2).splitlines()
        if x.startswith("| MoCo | linear |")
    ]
    left_out, reached, counted = lines[1], lines[0], lines[2]
    assert f"| **{shown(twos)}** |" in reached
    assert counted == f"| MoCo | linear | {shown(ones)} | {shown(twos).split(' ')[0]} |"
    told = [100 * make_fused.inside(make_fused.Fusible(search), "moco", best["moco", "linear"],
                                    "linear", each) for each in (1, 2)]  # fmt: skip
    assert left_out == f"| MoCo | linear | {told[0]:.1f} | {told[1]:.1f} |"

    # Another encoder, of one stream, with a recipe of its own: a member like the streams.
    other = same | {"encoder": {"name": "stgcn", "channels": [[8, 2]], "pool": "joints"}}
    sides = [
        go(tmp_path, **other, **only, grid=grid | {"method.stream": ["joint"]}),
        go(tmp_path, **other),
    ]
    monkeypatch.setattr(make_fused, "SHOWN", 1)
    table, best = make_fused.chosen(make_fused.Fusible(search, (sides[0],)))
    assert len(make_fused.sets_of([*streams, "stgcn"])) == 25
    assert 3 <= len(table) <= 2 + 4 + 2  # heads, at most one set a column, the line on the rest
    assert table[-1] == "Of 25 sets, those among the 1 best of a column are shown."
    both = ("joint", "stgcn", "untrained twins")
    fusible = make_fused.Fusible(test, (sides[1],))
    rows = [f"{test.path}:stream-joint/halp", f"{sides[1].path}:halp"]
    rows += [f"{test.path}:stream-joint/untrained", f"{sides[1].path}:untrained"]
    assert make_fused.names(fusible, "halp", both) == rows
    text = make_fused.page([test.path, search.path, *(one.path for one in sides)])
    fused = ensemble(make_fused.names(fusible, "moco", best["moco", "knn"]), None, "knn")
    (line,) = [x for x in text.splitlines() if x.startswith("| MoCo | knn |")]
    assert f"**{100 * fused['metrics']['accuracy']['mean']:.1f} ±" in line
    with pytest.raises(UserError, match="no run of stgcn on the test part"):
        make_fused.page([test.path, search.path, sides[0].path])
    with pytest.raises(UserError, match="more than one run of stgcn"):
        make_fused.page([test.path, search.path, *(one.path for one in sides), sides[1].path])


@pytest.mark.slow
def test_a_search_is_told_against_its_first_row(tmp_path: Path) -> None:
    import make_search

    finished = go(
        tmp_path,
        head=None,
        arms={"base": {}, "pool": {"label": "both", "set": {"encoder.pool": "mean_max"}}},
        control="base",
        grid={"data.split": ["inside:xsub:1", "inside:xsub:3"]},
    )
    text = make_search.page([finished.path])
    base, pool = (accuracies(finished, row, "knn") for row in ("base", "pool"))
    mean = 50 * sum(pool)
    told = f"{mean:.1f} ({mean - 50 * sum(base):+.1f}, sd "
    (line,) = [x for x in text.splitlines() if x.startswith("| both |")]
    assert told in line
    assert "`inside:xsub:1`, `inside:xsub:3`" in text


@pytest.mark.slow
def test_few_labels_frozen_and_tuned(tmp_path: Path) -> None:
    import make_few_labels

    shares = [0.01, 0.05, 0.1, 0.2]
    tune = {"name": "finetune", "epochs": 2, "drops": [1], "min_frames": 8, "shares": shares}
    finished = go(tmp_path, evaluators=[{"name": "semi", "shares": shares, "repeats": 1}, tune])
    text = make_few_labels.page([finished.path])
    frozen, tuned = text.split("Fine-tuned:")
    for part, evaluator in ((frozen, "semi"), (tuned, "finetune")):
        (line,) = [x for x in part.splitlines() if x.startswith("| MoCo |")]
        assert f"{100 * accuracies(finished, 'moco', evaluator)[0]:.1f}" in line


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "name the runs' folders"),
        (["elsewhere/page.md", "run"], "lie in docs/results; give the name alone"),
        (["page.md", "no-run"], "page.md: no-run"),
    ],
)
def test_a_page_is_written_for_runs_and_where_pages_lie(
    words: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import page_of_runs

    def page(runs: list[Path]) -> str:
        if runs != [Path("run")]:
            raise UserError(f"{runs[0]}: holds no run")
        return "of a run"

    monkeypatch.setattr(page_of_runs, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make.py", *words])
    with pytest.raises(SystemExit, match=why):
        page_of_runs.write("usual.md", page)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "argv", ["make.py", f"{tmp_path}/page.md", "run"])
    page_of_runs.write("usual.md", page)
    assert [found.name for found in tmp_path.iterdir()] == ["page.md"]

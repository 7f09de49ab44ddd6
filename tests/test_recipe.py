"""Recipes: every shipped one is valid, every mistake is named, nothing unsafe is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from halpgraph.errors import UserError
from halpgraph.recipe import Recipe, validate
from halpgraph.recipe_files import assign, merge, parse, read_recipe
from halpgraph.shipped import shipped

RECIPES = sorted(path.stem for path in shipped("recipes").glob("*.yaml"))


def load(name: str, *overrides: str) -> Recipe:
    content, lines = read_recipe(name, overrides)
    return validate(content, lines)


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipe_is_valid_and_locks_to_itself(name: str) -> None:
    recipe = load(name)
    again = validate(recipe.model_dump())
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint
    assert recipe.control in recipe.arms or (recipe.control is None and len(recipe.arms) == 1)
    for arm in recipe.arms:
        own, other = recipe.arm(arm), recipe.control_of(arm)
        assert (own.head is not None) == ("HaLP" in recipe.arm_label(arm))
        if own.head is not None:  # its control is the same without the head
            plain = recipe.arm(str(other))
            assert plain.head is None
            assert (plain.method, plain.encoder, plain.views) == (
                own.method,
                own.encoder,
                own.views,
            )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("encoder.hiden=64", ["encoder.hiden", "did you mean 'hidden'"]),
        ("encoder.name=gim", ["encoder.name", "did you mean 'gin'"]),
        ("train.lr=fast", ["train.lr", "number"]),
        ("train.lr=-1", ["train.lr", "greater than 0"]),
        ("train.batch_size=1", ["train.batch_size", "2"]),
        ("views.0.of.0.ratio=1.5", ["views.0.of.0.ratio", "less than 1"]),
        ("views.0.of.0.ratoi=0.1", ["ratoi", "did you mean 'ratio'"]),
        ("seeds=[]", ["seeds"]),
        ("seeds=[1,1]", ["seeds", "twice"]),
        ("seeds=[-1]", ["seeds", "negative"]),
        ("control=nobody", ["control", "nobody", "graphcl"]),
        ("folds=1", ["folds", "2"]),
        ("floors=[wl+embedding]", ["floors", "wl"]),
        ("floors=[histogram]", ["floors"]),
        ("epochs=3", ["epochs", "unknown"]),
        ("head.filter=best", ["head.filter", "rank"]),
        ("head.hardness=2", ["head.hardness", "1"]),
        ("method.variant=offical", ["method.variant", "official"]),
        ("grid={seeds: [[1]]}", ["grid.seeds"]),
        ("name=../../etc", ["name"]),
        ("data.features=[colour]", ["data.features", "labels"]),
        ("seeds=[4294967296]", ["seeds", "4294967295"]),
        ("train.epoch=3", ["train.epoch", "did you mean 'epochs'"]),
        ("train.lr=.inf", ["train.lr", "finite"]),
        ("method.temperature=.inf", ["method.temperature", "finite"]),
        ("grid={head.mu: [2020-01-01]}", ["date", "quotes"]),
        ("arms={../up: {}, graphcl: {}}", ["arms.../up", "folder"]),
        ("arms={floors: {}, graphcl: {}}", ["arms.floors"]),
        ("arms={untrained: {}, graphcl: {}}", ["arms.untrained", "floor"]),
        ("arms.graphcl.set={folds: 5}", ["arms.graphcl.set.folds", "encoder, method, head, train"]),
        ("arms.graphcl.set={data.name: NCI1}", ["arms.graphcl.set.data.name"]),
    ],
)
def test_mistake_is_named(override: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load("graphcl_mutag", override)
    for word in words:
        assert word in str(caught.value)


def test_all_mistakes_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: graphcl_mutag\nencoder:\n  hiden: 64\nmethod:\n  temprature: 0.5\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError) as caught:
        load(str(path))
    lines = str(caught.value).splitlines()
    assert any("encoder.hiden" in line and "(line 3)" in line for line in lines)
    assert any("method.temprature" in line and "(line 5)" in line for line in lines)


def test_the_line_of_a_key_that_was_set_on_the_command_line_is_not_told() -> None:
    with pytest.raises(UserError, match=r"^title: .*\)$") as caught:
        load("graphcl_mutag", "title=3")
    assert "line" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object/apply:os.system ['touch hacked']", ["line 1", "tag"]),
        ("a: &x [1, 2]\nb: *x", ["line 2", "alias"]),
        ("a: 1\na: 2", ["line 2", "twice"]),
        ("a: [1, 2", ["line"]),
        ("- 1\n- 2", ["mapping"]),
        ("", ["mapping"]),
        ("a: " + "[" * 1100 + "]" * 1100, ["deep"]),
        ("extends: [a]", ["extends"]),
        ("extends: nowhere_at_all", ["nowhere_at_all"]),
    ],
)
def test_unsafe_or_broken_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_recipe(path)
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_recipe(path)


def test_circle_of_extends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(UserError, match="circle"):
        read_recipe(tmp_path / "a.yaml")


def test_scientific_numbers_are_numbers() -> None:
    assert load("graphcl_mutag", "train.lr=1e-3").train.lr == 1e-3


def test_overrides_reach_lists_and_change_only_what_they_say() -> None:
    recipe = load("graphcl_mutag", "views.0.of.1.keep=0.5", "data.name=PTC_MR", "head=null")
    assert recipe.views[0]["of"][1]["keep"] == 0.5  # type: ignore[index]
    assert recipe.data.name == "PTC_MR"
    assert recipe.head is None
    assert load("graphcl_mutag").views[0]["of"][1]["keep"] == 0.8  # type: ignore[index]


@pytest.mark.parametrize("text", ["encoder.hidden", "=3", "views.7.ratio=1", "seeds.x.y=1"])
def test_malformed_override(text: str) -> None:
    with pytest.raises(UserError):
        load("graphcl_mutag", text)


def test_merge_leaves_both_alone_and_a_new_component_starts_anew() -> None:
    base = {"encoder": {"name": "gin", "hidden": 32}, "train": {"lr": 1.0, "epochs": 2}}
    over = {"encoder": {"name": "other"}, "train": {"lr": 2.0}}
    assert merge(base, over) == {
        "encoder": {"name": "other"},
        "train": {"lr": 2.0, "epochs": 2},
    }
    assert base["encoder"] == {"name": "gin", "hidden": 32}
    content = {"encoder": {"name": "gin", "hidden": 32}}
    assign(content, "encoder.name", "other", "--set")
    assert content == {"encoder": {"name": "other"}}


def test_an_arm_of_the_base_that_is_set_to_null_is_left_out(tmp_path: Path) -> None:
    base = shipped("recipes") / "_base" / "graphcl.yaml"
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"extends: {base}\ndata: {{name: MUTAG}}\ncontrol: alone\n"
        "arms: {graphcl: null, alone: {set: {head: null}}}\n"
    )
    assert list(load(path).arms) == ["halp", "alone"]
    assert list(load(path, "arms.halp=null").arms) == ["alone"]
    with pytest.raises(UserError, match="control: no arm is called 'graphcl'"):
        load(path, "control=graphcl")


def test_grid_makes_a_cell_a_point() -> None:
    recipe = load("graphcl_mutag", "grid={data.name: [MUTAG, PTC_MR], head.mu: [0, 0.5]}")
    cells = recipe.cells()
    assert list(cells) == ["MUTAG_mu-0", "MUTAG_mu-0.5", "PTC_MR_mu-0", "PTC_MR_mu-0.5"]
    assert cells["PTC_MR_mu-0.5"].head["mu"] == 0.5  # type: ignore[index]
    assert cells["PTC_MR_mu-0.5"].data.name == "PTC_MR"
    assert cells["MUTAG_mu-0"].arm("graphcl").head is None


@pytest.mark.parametrize(
    ("name", "cell"),
    [("/a/b/MINE.zip", "MINE"), ("../up/MINE", "MINE"), ("..", "data"), ("my set", "my-set")],
)
def test_a_cell_s_folder_stays_inside_the_run(name: str, cell: str) -> None:
    recipe = load("graphcl_mutag", f"data.name={name}")
    assert list(recipe.cells()) == [cell]
    assert recipe.cells()[cell].data.name == name


def test_the_title_names_the_data_that_is_used(tmp_path: Path) -> None:
    title = "GraphCL with and without the HaLP head on "
    assert load("graphcl_mutag").title == title + "MUTAG"
    assert load("graphcl_mutag", "data.name=PTC_MR").title == title + "PTC_MR"
    assert load("graphcl_mutag", "data.name=PTC_MR", "title=On MUTAG").title == "On MUTAG"
    path = tmp_path / "mine.yaml"
    path.write_text("extends: graphcl_mutag\ndata: {name: PTC_MR}\n")
    assert load(str(path)).title == title + "PTC_MR"


def test_any_file_name_makes_a_name(tmp_path: Path) -> None:
    path = tmp_path / "my recipe (2).yaml"
    path.write_text("extends: graphcl_mutag\n")
    assert load(str(path)).name == "my-recipe-2"


def test_fingerprint_moves_with_results_only() -> None:
    base = load("graphcl_mutag").fingerprint
    assert load("graphcl_mutag", "title=other", "trackers=[]").fingerprint == base
    assert load("graphcl_mutag", "encoder.hidden=33").fingerprint != base
    assert load("graphcl_mutag", "seeds=[0]").fingerprint != base


def test_parse_knows_the_line_of_every_key(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("a:\n  b: 1\nc: [x,\n  y]\n")
    assert parse(path)[1] == {"a": 1, "a.b": 2, "c": 3, "c.0": 3, "c.1": 4}


def test_unknown_recipe_names_the_closest() -> None:
    with pytest.raises(UserError, match="graphcl_mutag"):
        read_recipe("graphcl_mutga")

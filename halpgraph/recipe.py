"""Recipes: a YAML file becomes a frozen, validated ``Recipe``; nothing is changed silently.

A recipe may ``extends`` another one. Mappings merge key by key, lists and values replace;
a component (a mapping with a ``name``) that changes its name starts anew; an arm set to null is
left out. ``--set`` comes last.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from halpgraph import registry, schedule
from halpgraph.errors import UserError
from halpgraph.files import digest
from halpgraph.recipe_files import assign, merge

FLOORS = (
    *("majority", "labels", "labels+degree", "wl", "untrained", "calibrated", "wl+embedding"),
    *("pose", "bone", "motion", "distances"),
)
Spec = str | dict[str, Any]
FOLDER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # what may be the name of a folder
LARGEST_SEED = 2**32 - 1
ARMS_DIFFER_IN = ("views", "encoder", "method", "head", "train")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(_Section):
    """Which data set, and what is made of it: node features of graphs; of skeletons, clips.

    ``split``, ``frames`` (T), ``centre``, ``align``, ``scale`` and ``fit`` are of skeletons, see
    ``halpgraph.data.skeleton_sets.from_prepared``; what is left out has its default there.
    """

    name: str = Field(min_length=1)
    features: list[Literal["labels", "attributes", "degree", "constant"]] | None = None
    degree_cap: int = Field(64, ge=1)
    standardise: bool = False
    split: str | None = None
    frames: int | None = Field(None, ge=2, le=4096)
    centre: Literal["none", "first"] | None = None
    align: Literal["none", "yaw"] | None = None
    scale: Literal["none", "torso"] | None = None
    fit: Literal["train", "all"] | None = None


class TrainSettings(_Section):
    """How the encoder is trained. The last epoch is the one that is evaluated, always.

    ``schedule``, ``milestones``, ``gamma`` and ``warmup`` are told in ``schedule.py``; gradients
    longer than ``clip`` are cut to it. ``init_from`` (a finished run's folder, or a checkpoint) and
    ``init_arm`` are told in ``starts.py``. Every ``monitor`` epochs ``monitor.py`` looks at the
    embeddings of the training part, for a curve in the report.
    """

    epochs: int = Field(20, ge=0)
    batch_size: int = Field(128, ge=2)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    clip: float | None = Field(None, gt=0)
    schedule: Literal["constant", "cosine", "step"] = "constant"
    milestones: list[int] = Field(default_factory=list)
    gamma: float = Field(0.1, gt=0, le=1)
    warmup: int = Field(0, ge=0)
    init_from: str | None = Field(None, min_length=1)
    init_arm: str | None = Field(None, min_length=1)
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpoint_every: int | None = Field(None, ge=1)
    monitor: int | None = Field(None, ge=1)


class Arm(_Section):
    """One variant of the recipe: what it is called, and what it sets differently.

    ``control`` is the arm it is compared with, where that is not the recipe's own control.
    """

    label: str | None = None
    control: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)


class Recipe(_Section):
    """Everything a run depends on. Component settings are validated with all defaults filled in."""

    name: Annotated[str, Field(pattern=FOLDER)]
    title: str = ""
    data: DataSettings
    views: list[Spec] = Field(min_length=1)
    encoder: Spec
    method: Spec
    head: Spec | None = None
    train: TrainSettings = TrainSettings()
    arms: dict[str, Arm] = Field(default_factory=lambda: {"main": Arm()}, min_length=1)
    control: str | None = None
    seeds: list[int] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    evaluators: list[Spec] = Field(default=["svm"], min_length=1)
    folds: int = Field(10, ge=2)
    floors: list[Literal[FLOORS]] = Field(default_factory=list)  # type: ignore[valid-type]
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    trackers: list[Literal["tensorboard", "wandb"]] = Field(default_factory=list)

    @field_validator("seeds", "floors", "trackers")
    @classmethod
    def _no_twins(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError("the same entry stands there twice")
        return values

    @property
    def fingerprint(self) -> str:
        """Return a hash of everything that can change a result (not name, title, trackers)."""
        return digest(self.model_dump(exclude={"name", "title", "trackers"}))

    def cells(self) -> dict[str, Recipe]:
        """Return one recipe a grid point (data set, ablation value), by name; see ``grid``."""
        if not self.grid:
            return {cell_part("data.name", self.data.name): self}
        plain = self.model_dump() | {"grid": {}}
        cells = {}
        for values in itertools.product(*self.grid.values()):
            content = copy.deepcopy(plain)
            for key, value in zip(self.grid, values, strict=True):
                assign(content, key, value, "grid")
            name = "_".join(cell_part(k, v) for k, v in zip(self.grid, values, strict=True))
            if name in cells:
                raise UserError(f"grid: the point {name} stands there twice")
            cells[name] = validate(content)
        return cells

    def arm(self, name: str) -> Recipe:
        """Return the recipe as the arm ``name`` runs it: its overrides applied, no arms left."""
        content = merge(self.model_dump() | {"arms": {"main": {}}, "control": None}, {})
        for key, value in self.arms[name].set.items():
            assign(content, key, value, f"arms.{name}.set")
        return validate(content)

    def control_of(self, arm: str) -> str | None:
        """Return the arm that an arm is compared with; None where there is none."""
        own = self.arms[arm].control or self.control
        return None if own == arm else own

    def arm_label(self, name: str) -> str:
        """Return how an arm is called in tables."""
        return self.arms[name].label or name


def cell_part(key: str, value: Any) -> str:
    """Return a grid value as a part of a folder's name; of a path, its last part."""
    text = value if isinstance(value, str) else json.dumps(value)
    if key == "data.name":
        text = PurePath(text).name.removesuffix(".zip")
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in text)
    return safe.lstrip(".") or "data" if key == "data.name" else f"{key.rsplit('.', 1)[-1]}-{safe}"


def validate(content: Mapping[str, Any], lines: Mapping[str, int] | None = None) -> Recipe:
    """Check a recipe's content completely, components included, and fill in the defaults.

    Args:
        content: the merged mapping.
        lines: line of each dotted key in the user's file, for messages.

    Raises:
        UserError: one line a problem: key, what is wrong, what instead (and the line).
    """
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise UserError(_with_lines(registry.explain(error, "", Recipe, "recipe"), lines)) from None
    problems = _not_plain(recipe)
    filled = {
        "views": _components(registry.views, recipe.views, "views", problems),
        "encoder": _components(registry.encoders, [recipe.encoder], "encoder", problems)[0],
        "method": _components(registry.methods, [recipe.method], "method", problems)[0],
        "evaluators": _components(registry.evaluators, recipe.evaluators, "evaluators", problems),
    }
    if recipe.head is not None:
        filled["head"] = _components(registry.heads, [recipe.head], "head", problems)[0]
    problems += _combinations(recipe)
    if problems:
        raise UserError(_with_lines(problems, lines))
    return recipe.model_copy(update=filled)


def _components(
    room: registry.Registry, specs: Sequence[Spec], where: str, problems: list[str]
) -> list[dict[str, Any]]:
    found = []
    many = where in ("views", "evaluators")
    for i, spec in enumerate(specs):
        try:
            found.append(room.settings(spec, f"{where}.{i}" if many else where))
        except UserError as error:
            problems += str(error).split("\n")
            found.append({})
    return found


def _not_plain(recipe: Recipe) -> list[str]:
    """Return what YAML reads as something a run cannot write down, such as a date."""
    try:
        json.dumps(recipe.model_dump())
    except (TypeError, ValueError) as error:
        return [f"recipe: texts, numbers, lists and mappings only ({error}); put dates in quotes"]
    return []


def _combinations(recipe: Recipe) -> list[str]:
    """Return what cannot go together."""
    problems = [
        f"arms.{name}: an arm's name is a folder's; use letters, digits, '.', '_', '-'"
        for name in recipe.arms
        if not re.match(FOLDER, name) or name == "floors"
    ]
    problems += [f"arms.{name}: is a floor's name" for name in recipe.arms if name in FLOORS]
    problems += [
        f"arms.{name}.set.{key}: arms differ in {', '.join(ARMS_DIFFER_IN)} only; "
        "all else is shared, so that they can be compared"
        for name, arm in recipe.arms.items()
        for key in arm.set
        if key.split(".")[0] not in ARMS_DIFFER_IN
    ]
    if recipe.control is not None and recipe.control not in recipe.arms:
        known = ", ".join(recipe.arms)
        problems.append(f"control: no arm is called {recipe.control!r} - arms: {known}")
    problems += [
        f"arms.{name}.control: no other arm is called {arm.control!r} - arms: "
        f"{', '.join(other for other in recipe.arms if other != name)}"
        for name, arm in recipe.arms.items()
        if arm.control is not None and (arm.control not in recipe.arms or arm.control == name)
    ]
    problems += schedule.problems(recipe.train)
    if "wl+embedding" in recipe.floors and "wl" not in recipe.floors:
        problems.append("floors: 'wl+embedding' is read beside 'wl': add 'wl'")
    if any(not 0 <= seed <= LARGEST_SEED for seed in recipe.seeds):
        what = "negative" if min(recipe.seeds) < 0 else f"above {LARGEST_SEED}"
        problems.append(f"seeds: must not be {what} (got {recipe.seeds})")
    for key, values in recipe.grid.items():
        if key.split(".")[0] not in ("data", *ARMS_DIFFER_IN):
            problems.append(f"grid.{key}: only data, views, encoder, method, head and train vary")
        if not values:
            problems.append(f"grid.{key}: no values")
    return problems


def _with_lines(problems: Sequence[str], lines: Mapping[str, int] | None) -> str:
    out = []
    for problem in problems:
        key = problem.split(":", 1)[0]
        line = (lines or {}).get(key)
        out.append(f"{problem} (line {line})" if line else problem)
    return "\n".join(out)

"""A finished run, read from its folder: everything a report needs is on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.errors import UserError
from halpgraph.files import read_json

Row = dict[str, Any]


@dataclass(frozen=True)
class SeedFolder:
    """One seed of one arm; whatever is missing reads as empty."""

    path: Path
    seed: int

    def epochs(self) -> list[dict[str, Any]]:
        """Return the lines of ``metrics.jsonl``, one an epoch; the last word on an epoch counts."""
        file = self.path / "metrics.jsonl"
        if not file.is_file():
            return []
        found: dict[int, dict[str, Any]] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                found[int(entry["epoch"])] = entry
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # a line cut short by a kill
        return [found[epoch] for epoch in sorted(found)]

    def embeddings(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of ``embeddings.npz`` (z, and y and id where they are)."""
        file = self.path / "embeddings.npz"
        if not file.is_file():
            return {}
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def evaluation(self, evaluator: str) -> dict[str, Any]:
        """Return what ``EVALUATOR.json`` holds."""
        return optional_json(self.path / f"{evaluator}.json")


@dataclass(frozen=True)
class Cell:
    """One data set or sweep point: its rows of scores and the folders of its seeds."""

    name: str
    data: dict[str, Any]
    rows: list[Row]
    differences: list[Row]
    arms: dict[str, list[SeedFolder]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Short name for headings; the data set's long one stands with its source."""
        return self.name

    def first(self, kind: str) -> Row | None:
        """Return the first row of a kind; the recipe's order decides, not the results."""
        return next((row for row in self.rows if row.get("kind") == kind), None)

    def treatments(self) -> list[Row]:
        """Return the first row of each treatment; without one, of each arm."""
        for kind in ("treatment", "arm", "control"):
            found: dict[str, Row] = {}
            for row in self.rows:
                if row.get("kind") == kind:
                    found.setdefault(str(row.get("row")), row)
            if found:
                return list(found.values())
        return []

    def main(self) -> Row | None:
        """Return the row that the report is about: treatment, else any arm that was trained."""
        return next(iter(self.treatments()), None)

    def label(self, name: str) -> str:
        """Return the label of a row by its name."""
        return next((label_of(row) for row in self.rows if row.get("row") == name), name)


@dataclass(frozen=True)
class Run:
    """A finished run."""

    path: Path
    scores: dict[str, Any]
    environment: dict[str, Any]
    recipe: str
    cells: list[Cell]

    @property
    def title(self) -> str:
        """Title of the page."""
        return str(self.scores.get("title") or self.scores.get("name") or self.path.name)


def label_of(row: Row) -> str:
    """Return a row's label, or its name where it has none."""
    return str(row.get("label") or row.get("row") or "?")


def optional_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one where there is no such file.

    Raises:
        UserError: the file is there but is not JSON.
    """
    value = read_json(file) if file.is_file() else {}
    return value if isinstance(value, dict) else {}


def read_run(path: Path) -> Run:
    """Read a run folder.

    Raises:
        UserError: no finished run there.
    """
    path = Path(path)
    scores = optional_json(path / "scores.json")
    if not scores:
        raise UserError(
            f"{path}: no finished run here (scores.json is missing); "
            "start the same recipe again to finish it"
        )
    recipe = path / "recipe.yaml"
    return Run(
        path=path,
        scores=scores,
        environment=optional_json(path / "environment.json"),
        recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else "",
        cells=[_cell(path, entry) for entry in scores.get("cells", [])],
    )


def _cell(run: Path, entry: dict[str, Any]) -> Cell:
    name = str(entry.get("name", "?"))
    data = entry.get("data") or optional_json(run / name / "data.json")
    return Cell(
        name=name,
        data=data,
        rows=list(entry.get("rows") or []),
        differences=list(entry.get("differences") or []),
        arms=_arms(run, name, [str(row.get("row")) for row in entry.get("rows") or []]),
    )


def _arms(run: Path, name: str, order: list[str]) -> dict[str, list[SeedFolder]]:
    """Return the seed folders of each arm, in the order of the score rows."""
    folder = run / name
    if not folder.is_dir() or run.resolve() not in folder.resolve().parents:
        return {}
    arms = {
        arm.name: seeds
        for arm in sorted(folder.iterdir())
        if arm.is_dir() and arm.name != "floors" and (seeds := _seeds(arm))
    }
    place = {row: position for position, row in reversed(list(enumerate(order)))}
    return dict(sorted(arms.items(), key=lambda item: place.get(item[0], len(place))))


def _seeds(arm: Path) -> list[SeedFolder]:
    """Return the seed folders of one arm by number."""
    found = []
    for folder in arm.glob("seed-*"):
        number = folder.name.removeprefix("seed-")
        if folder.is_dir() and number.isdigit():
            found.append(SeedFolder(folder, int(number)))
    return sorted(found, key=lambda seed: seed.seed)

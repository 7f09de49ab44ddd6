"""One folder a run: locked recipe, environment, metrics, checkpoints, embeddings, scores, report.

A run's folder is ``NAME-FINGERPRINT``: the same recipe on the same data finds its folder again, any
change gets a new one. Nothing of a user's is ever deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from halpgraph.errors import RunError, UserError
from halpgraph.files import read_json, write_text


class RunDir:
    """Paths and states of one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """Open an existing run.

        Raises:
            UserError: there is no run in that folder.
        """
        run = cls(Path(path))
        if not (run.path / "recipe.yaml").is_file():
            raise UserError(f"{path}: not a run's folder (it holds no recipe.yaml)")
        return run

    @property
    def finished(self) -> bool:
        """Whether every job of the run is done and its scores are written."""
        return (self.path / "scores.json").is_file()

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the locked recipe's content."""
        content: dict[str, Any] = yaml.safe_load((self.path / "recipe.yaml").read_text())
        return content

    @property
    def scores(self) -> dict[str, Any]:
        """Return the scores.

        Raises:
            UserError: the run is not finished.
        """
        if not self.finished:
            raise UserError(f"{self.path}: not finished; run the same command again to go on")
        content: dict[str, Any] = read_json(self.path / "scores.json")
        return content

    def job(self, cell: str, arm: str, seed: int) -> Path:
        """Return the folder of one training."""
        return self.path / cell / arm / f"seed-{seed}"

    def floor(self, cell: str, floor: str, seed: int) -> Path:
        """Return the folder of one floor's scores."""
        return self.path / cell / "floors" / floor / f"seed-{seed}"

    def floor_seeds(self, cell: str, floor: str, seeds: Sequence[int], data: Any) -> list[Path]:
        """Return the folder of a floor for each seed; one for all where no seed changes anything.

        On one named split, hand-made features are the same whatever the seed.
        """
        drawn = floor in ("untrained", "calibrated")
        fixed = data.get("metric") and data.get("kind") == "skeletons" and not drawn
        return [self.floor(cell, floor, seeds[0] if fixed else seed) for seed in seeds]

    def write_recipe(self, content: dict[str, Any]) -> None:
        """Lock the recipe, once."""
        if not (self.path / "recipe.yaml").is_file():
            text = yaml.safe_dump(content, sort_keys=False, width=100)
            write_text(self.path / "recipe.yaml", text)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; a killed process lets go by itself.

        Raises:
            UserError: another process is at work in it.
            RunError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written: {error.strerror}; choose another with --runs DIR"
            ) from None
        try:
            self._lock(handle)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{self.path}: another process is at work in this run; wait for it, or stop it"
            ) from None


def read_metrics(job: Path) -> list[dict[str, Any]]:
    """Return the epochs of a training so far; a last line cut short by a kill is passed over."""
    path = job / "metrics.jsonl"
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows

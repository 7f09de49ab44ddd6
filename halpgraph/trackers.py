"""Optional trackers beside ``metrics.jsonl``: TensorBoard and Weights & Biases."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halpgraph.errors import UserError
from halpgraph.recipe import Recipe

_MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}


class Trackers:
    """Every tracker the recipe names, behind one ``log``."""

    def __init__(self, recipe: Recipe, folder: Path, title: str) -> None:
        self.writer = self.wandb = None
        if "tensorboard" in recipe.trackers:
            self.writer = _module("tensorboard").SummaryWriter(str(folder / "tensorboard"))
        if "wandb" in recipe.trackers:
            self.wandb = _module("wandb").init(
                project="halpgraph", name=title, dir=str(folder), config=recipe.model_dump()
            )

    def log(self, report: Mapping[str, Any]) -> None:
        """Pass on one epoch's numbers."""
        numbers = {"loss": report["loss"], **report["terms"], "seconds": report["seconds"]}
        numbers["inside"] = report.get("inside")
        numbers |= {f"head/{key}": value for key, value in report["head"].items()}
        numbers = {key: value for key, value in numbers.items() if value is not None}
        if self.writer is not None:
            for key, value in numbers.items():
                self.writer.add_scalar(key, value, report["epoch"])
        if self.wandb is not None:
            self.wandb.log(numbers, step=report["epoch"])

    def __enter__(self) -> Trackers:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()
        if self.wandb is not None:
            self.wandb.finish()


def open_trackers(recipe: Recipe, folder: Path, title: str) -> Trackers:
    """Open the recipe's trackers.

    Raises:
        UserError: a tracker's package is not installed.
    """
    return Trackers(recipe, folder, title)


def check_trackers(recipe: Recipe) -> None:
    """Raise ``UserError`` where a tracker's package is missing."""
    for name in recipe.trackers:
        _module(name)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(_MODULES[name])
    except ImportError:
        raise UserError(
            f"trackers: {name} is not installed - pip install 'halpgraph[{name}]'"
        ) from None

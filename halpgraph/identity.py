"""What tells one run from another: its recipe, its data, what it starts from, and the version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from halpgraph import __version__
from halpgraph.data.dataset import DataSet
from halpgraph.files import digest, plain
from halpgraph.recipe import Recipe
from halpgraph.starts import starts_of

if TYPE_CHECKING:
    from halpgraph.runner import Cell


def fingerprint(recipe: Recipe, cells: Sequence[Cell]) -> str:
    """Return a hash of the recipe, the data, the checkpoints it starts from, and the version.

    Raises:
        UserError: a checkpoint that the recipe starts from cannot be found.
    """
    known = [recipe.fingerprint, [_identity(cell.data) for cell in cells], __version__]
    starts = starts_of({cell.name: cell.recipe for cell in cells})
    return digest([*known, starts] if starts else known)


def _identity(data: DataSet) -> Any:
    """Return what tells a data set from others: its tensors and, if any, its official split."""
    tensors = data.info["fingerprint"]
    return [tensors, plain(dict(data.splits))] if data.splits else tensors

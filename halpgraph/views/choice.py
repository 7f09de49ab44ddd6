"""Choice: every graph draws one of several views."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import torch
from pydantic import AfterValidator
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.registry import views
from halpgraph.views import _parts
from halpgraph.views._base import EditView, GraphView
from halpgraph.views._edit import apply, merge
from halpgraph.views._pose import LinearView, multiply
from halpgraph.views._sample import uniform

_WHERE = "views.choice.of"


def _checked(of: list[Any]) -> list[Any]:
    return list(_parts.check(of, _WHERE))


@views.register
class Choice(GraphView):
    """Let every graph draw one of several views, and change it by that view alone.

    This is the published code's ``random2`` (drop_nodes, subgraph), ``random3`` (perturb_edges
    too) and ``random4`` (mask_features too); of ``joint_mask`` and ``shear`` it is the spatial
    augmentation of HaLP. The changes of all views are made in one pass. Which view each graph drew
    is kept as the batch's ``drawn [B]``.

    Args:
        of: the views to draw from, each a name or a mapping of its name and settings.
        weights: how likely each is, in proportion; equally likely where left out.

    Raises:
        UserError: no view, an unknown one, a wrong setting, weights that do not fit.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, Sec. 3.1,
    https://arxiv.org/abs/2010.13902.
    """

    def __init__(
        self,
        of: Annotated[list[Any], AfterValidator(_checked)],
        weights: list[float] | None = None,
    ) -> None:
        self.of = _parts.build(of, _WHERE)
        self.reweigh(weights)

    def reweigh(self, weights: list[float] | None) -> None:
        """Draw by other weights from now on; JOAO learns them.

        Raises:
            UserError: weights that do not fit.
        """
        self.weights = _fitting(weights, len(self.of))
        shares = torch.tensor(self.weights or [1.0] * len(self.of), dtype=torch.float64)
        self._steps = (shares.cumsum(0) / shares.sum())[:-1]

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change each of the chosen graphs by a view drawn for it."""
        for view in self.of:
            view.refuse(batch)
        drawn = self._draw(batch, generator)
        mine = [
            drawn == i if chosen is None else (drawn == i) & chosen for i in range(len(self.of))
        ]
        pairs = list(zip(self.of, mine, strict=True))
        edits = [v.plan(batch, m, generator) for v, m in pairs if isinstance(v, EditView)]
        out = apply(batch, merge(edits)) if edits else batch
        for view, graphs in pairs:
            if not isinstance(view, EditView | LinearView):
                out = view.change(out, graphs, generator)
        linear = [(v, m) for v, m in pairs if isinstance(v, LinearView)]
        out = multiply(out, linear, generator) if linear else out
        out = copy.copy(out) if out is batch else out
        out._store["drawn"] = drawn
        return out

    def _draw(self, batch: Batch, generator: Generator | None) -> Tensor:
        draws = uniform(batch.ptr.numel() - 1, batch.ptr, generator)
        return torch.bucketize(draws, self._steps.to(draws.device), right=True)  # [B]


def _fitting(weights: list[float] | None, count: int) -> list[float] | None:
    if weights is None:
        return None
    if len(weights) != count or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise UserError(
            f"views.choice.weights: {weights} - need {count} numbers, none negative, not all zero"
        )
    return list(weights)

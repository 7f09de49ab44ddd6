"""What the views of this room share: which graphs are meant, and how a view shows itself."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.contracts import View
from halpgraph.errors import UserError
from halpgraph.pose import has_window, sampled
from halpgraph.registry import views
from halpgraph.views._edit import Edit, apply


class GraphView(View):
    """A view that can be told which graphs of the batch to change.

    ``takes`` says what it changes: graphs, the poses of skeletons, or both.
    """

    takes: ClassVar[Literal["graph", "pose", "both"]] = "both"

    def forward(self, batch: Batch, generator: Generator | None = None) -> Batch:
        """Return the batch with every graph changed."""
        out = self.change(batch, None, generator)
        return sampled(out) if has_window(out) else out

    @abstractmethod
    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change the chosen graphs, leave the others alone.

        Args:
            batch: the graphs; not changed itself.
            chosen: which graphs, bool [B]; None means all.
            generator: source of every draw, on the device of the batch.
        """

    def refuse(self, batch: Batch) -> None:
        """Fail where the batch holds what this view cannot change.

        Raises:
            UserError: graphs for a view of skeletons, or skeletons for a view of graphs.
        """
        found = "pose" if "pose" in batch._store else "graph"
        if self.takes in (found, "both"):
            return
        name = type(self).__module__.rsplit(".", 1)[-1]
        fit = [n for n in views.names() if getattr(views.get(n), "takes", "") == found]
        wrong = (
            f"{name} changes skeletons, these graphs have no poses"
            if found == "graph"
            else f"{name} changes graphs, these are skeletons"
        )
        raise UserError(f"views: {wrong}; use {', '.join(fit)}")

    def __repr__(self) -> str:
        names = inspect.signature(type(self).__init__).parameters
        shown = (f"{n}={getattr(self, n)!r}" for n in names if n != "self")
        return f"{type(self).__name__}({', '.join(shown)})"


class EditView(GraphView):
    """A view that says what is to be changed, in one go; the change itself is made for it."""

    takes = "graph"

    @abstractmethod
    def edit(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return what is to be changed in the chosen graphs (all where None)."""

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change the chosen graphs, leave the others alone."""
        self.refuse(batch)
        return apply(batch, self.plan(batch, chosen, generator))

    def plan(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return ``edit``, made in inference mode: a sixth less for operators as small as these.

        What an edit holds cannot be changed in place, nor saved for a backward.
        """
        with torch.inference_mode():
            return self.edit(batch, chosen, generator)


def only(counts: Tensor, chosen: Tensor | None) -> Tensor:
    """Return the counts of the chosen graphs and zeros for the others. Shapes: [B] -> [B]."""
    return counts if chosen is None else counts * chosen

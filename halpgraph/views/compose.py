"""Compose: several views, one after another."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views import _parts
from halpgraph.views._base import GraphView

_WHERE = "views.compose.of"


def _checked(of: list[Any]) -> list[Any]:
    return list(_parts.check(of, _WHERE))


@views.register
class Compose(GraphView):
    """Change every graph by several views, one after another.

    Of skeletons, ``crop_resize`` comes first, then the rest.

    Args:
        of: the views in their order, each a name or a mapping of its name and settings.

    Raises:
        UserError: no view, an unknown one, a wrong setting.
    """

    def __init__(self, of: Annotated[list[Any], AfterValidator(_checked)]) -> None:
        self.of = _parts.build(of, _WHERE)

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Change the chosen graphs by each view in turn."""
        for view in self.of:
            batch = view.change(batch, chosen, generator)
        return batch

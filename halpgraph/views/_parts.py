"""Views made of other views: their specs, checked and built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halpgraph.errors import UserError
from halpgraph.registry import views
from halpgraph.views._base import GraphView


def check(of: Sequence[Any], where: str) -> Sequence[Any]:
    """Check every spec of a list as the registry would, without building anything.

    Args:
        of: names, specs, or views that have been made already.
        where: the recipe's key, for messages.

    Raises:
        UserError: the list is empty, or a spec is wrong.
    """
    if not of:
        raise UserError(f"{where}: empty - list at least one of: {', '.join(views.names())}")
    for i, spec in enumerate(of):
        if isinstance(spec, str | Mapping):
            views.settings(spec, f"{where}.{i}")
        elif not isinstance(spec, GraphView):
            raise UserError(
                f"{where}.{i}: {spec!r} is no view - write a name or 'name: ...' with its settings"
            )
    return of


def build(of: Sequence[Any], where: str) -> list[GraphView]:
    """Return the views of a list of specs.

    Raises:
        UserError: the list is empty, or a spec is wrong.
    """
    specs = enumerate(check(of, where))
    return [s if isinstance(s, GraphView) else views.build(s, f"{where}.{i}") for i, s in specs]

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
    for place, spec in _placed(of, where):
        if not isinstance(spec, GraphView):
            views.settings(spec, place)
    return of


def build(of: Sequence[Any], where: str) -> list[GraphView]:
    """Return the views of a list of specs.

    Raises:
        UserError: the list is empty, or a spec is wrong.
    """
    made = [s if isinstance(s, GraphView) else views.build(s, p) for p, s in _placed(of, where)]
    for (place, spec), view in zip(_placed(of, where), made, strict=True):
        if not isinstance(view, GraphView):
            raise UserError(f"{place}: {spec!r} changes whole batches - it cannot be a part here")
    return made


def _placed(of: Sequence[Any], where: str) -> list[tuple[str, Any]]:
    """Return every spec with its key; fail where one cannot be a spec at all."""
    if not of:
        raise UserError(f"{where}: empty - list at least one of: {', '.join(views.names())}")
    for i, spec in enumerate(of):
        if not isinstance(spec, str | Mapping | GraphView):
            raise UserError(
                f"{where}.{i}: {spec!r} is no view - write a name, or 'name: ...' and settings"
            )
    return [(f"{where}.{i}", spec) for i, spec in enumerate(of)]

"""What there is: every component, data set and recipe, read from files without importing them.

The command line's ``list`` and ``show`` and the catalogue page of the docs come from here.
"""

from __future__ import annotations

import ast
from typing import Any

import yaml

from halpgraph.data.cards import card_of, cards
from halpgraph.errors import UserError, did_you_mean
from halpgraph.registry import ROOMS, WIRED, Registry
from halpgraph.shipped import shipped

Entry = dict[str, Any]


def entries(room: str) -> list[Entry]:
    """Return name and one-line summary of everything in a room."""
    if room == "recipes":
        return [{"name": p.stem, "summary": _comment(p)[0]} for p in _recipes()]
    if room == "data":
        return [{"name": card.name, "summary": card.about} for card in cards().values()]
    registry = ROOMS[room]
    return [{"name": name, "summary": registry.summary(name)} for name in registry.names()]


def details(name: str) -> list[Entry]:
    """Return everything known about a name, one entry a room that has it.

    Raises:
        UserError: nothing is called so; the message names the closest.
    """
    found = [
        {
            "room": room,
            "name": name,
            "text": registry.doc(name),
            "settings": component_settings(registry, name),
        }
        for room, registry in ROOMS.items()
        if name in registry.names()
    ]
    found += [
        {"room": "recipes", "name": p.stem, "text": p.read_text(encoding="utf-8")}
        for p in _recipes()
        if p.stem == name
    ]
    card = card_of(name)
    if card is not None:
        text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, width=96)
        found.append({"room": "data", "name": name, "text": text})
    if not found:
        known = [*cards(), *(p.stem for p in _recipes())]
        known += [component for room in ROOMS.values() for component in room.names()]
        raise UserError(f"{name}: nothing is called so{did_you_mean(name, known)}")
    return found


def component_settings(registry: Registry, name: str) -> list[Entry]:
    """Return the settings of a component: name, type and bounds, default."""
    init = registry.constructor(name)
    if init is None:
        return []
    names = [*init.args.args, *init.args.kwonlyargs]
    missing: list[ast.expr | None] = [None] * (len(init.args.args) - len(init.args.defaults))
    defaults = [*missing, *init.args.defaults, *init.args.kw_defaults]
    return [
        {
            "name": arg.arg,
            "type": _type(arg.annotation),
            "default": "(needed)" if default is None else ast.unparse(default),
        }
        for arg, default in zip(names, defaults, strict=True)
        if arg.arg not in WIRED[registry.room]
    ]


def _type(annotation: ast.expr | None) -> str:
    """Return a type in words: ``Annotated[float, Field(gt=0, lt=1)]`` -> ``float (gt 0, lt 1)``."""
    if annotation is None:
        return "any"
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        if ast.unparse(annotation.value) == "Annotated":
            kind, *rest = annotation.slice.elts
            bounds = [
                f"{word.arg} {ast.unparse(word.value)}"
                for call in rest
                if isinstance(call, ast.Call)
                for word in call.keywords
            ]
            return f"{_type(kind)} ({', '.join(bounds)})" if bounds else _type(kind)
        if ast.unparse(annotation.value) == "Literal":
            return " | ".join(ast.unparse(value) for value in annotation.slice.elts)
    return ast.unparse(annotation)


def _recipes() -> list[Any]:
    return sorted(shipped("recipes").glob("*.yaml"))


def _comment(path: Any) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    words = [line.lstrip("# ").rstrip() for line in lines if line.startswith("#")]
    return words or [""]

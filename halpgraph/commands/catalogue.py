"""list and show: what there is, read from files without importing PyTorch."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from halpgraph.commands._options import Json, echo_json
from halpgraph.errors import UserError, did_you_mean

ROOMS = ("data", "views", "encoders", "methods", "heads", "evaluators", "recipes")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("list", epilog="Example: halpgraph list views")(list_rooms)
    app.command(epilog="Example: halpgraph show halp")(show)


def list_rooms(
    room: Annotated[str | None, typer.Argument(help=f"One of {', '.join(ROOMS)}.")] = None,
    as_json: Json = False,
) -> None:
    """List data sets, views, encoders, methods, heads, evaluators and recipes."""
    from halpgraph.catalogue import entries

    if room is not None and room not in ROOMS:
        raise UserError(f"{room}: no such list{did_you_mean(room, ROOMS)}")
    found = {name: entries(name) for name in ([room] if room else ROOMS)}
    if as_json:
        echo_json(found)
        return
    for name, rows in found.items():
        typer.echo(name)
        width = max([len(row["name"]) for row in rows], default=0)
        for row in rows:
            typer.echo(f"  {row['name']:<{width}}  {row['summary']}")


def show(
    name: Annotated[str, typer.Argument(help="Any name that `halpgraph list` prints.")],
    as_json: Json = False,
) -> None:
    """Show a component, data set or recipe: what it does, its settings, where it comes from."""
    from halpgraph.catalogue import details

    found = details(name)
    if as_json:
        echo_json(found)
        return
    for entry in found:
        typer.echo(f"{entry['room']} / {entry['name']}\n")
        typer.echo(entry["text"].rstrip())
        _settings(entry.get("settings", []))
        typer.echo("")


def _settings(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    typer.echo("\nSettings")
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        typer.echo(f"  {row['name']:<{width}}  {row['type']}, default {row['default']}")

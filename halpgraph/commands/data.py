"""data list, data check, data get."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from halpgraph.commands import imports, prepare, skeletons
from halpgraph.commands._options import Data, Json, echo_json

app = typer.Typer(
    help="Data sets: what there is, whether it is whole, and fetching it.",
    epilog="Example: halpgraph data check PROTEINS",
    no_args_is_help=True,
)
prepare.add_to(app)
imports.add_to(app)
skeletons.add_to(app)
Name = Annotated[str, typer.Argument(help="A data set's name, as `halpgraph data list` prints it.")]


@app.command("list", epilog="Example: halpgraph data list")
def list_sets(data: Data = None, as_json: Json = False) -> None:
    """List the data sets that have a card, and where each was found."""
    from halpgraph.data.catalogue import describe_all

    rows = describe_all(data)
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        graphs = row.get("graphs") or "?"
        typer.echo(f"{row['name']:<14} {graphs:>7} graphs  {row['place']}")


@app.command(epilog="Example: halpgraph data check NCI1")
def check(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Load a data set and compare it with its card."""
    from halpgraph.data.catalogue import check as look

    found = look(name, data)
    if as_json:
        echo_json(found)
        return
    for key, value in found.items():
        if value not in (None, [], 0):
            typer.echo(f"{key.replace('_', ' ')}: {_words(value)}")


@app.command(epilog="Example: halpgraph data get PROTEINS")
def get(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Find a data set, or download it into the cache."""
    from halpgraph.data.catalogue import get as fetch

    path = fetch(name, data)
    if as_json:
        echo_json({"name": name, "path": path})
    else:
        typer.echo(str(path))


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_words(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        joint = ", " if any(isinstance(v, str) for v in value) else " / "
        return joint.join(str(v).replace("_", " ") for v in value)
    return str(value)

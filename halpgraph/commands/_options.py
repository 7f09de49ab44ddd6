"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from halpgraph.files import plain

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; repeatable."),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder to look for data sets in first (else HALPGRAPH_DATA)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def echo_json(content: Any) -> None:
    """Print JSON on standard output; what was not measured is null."""
    typer.echo(json.dumps(plain(content), indent=1, default=str, allow_nan=False))

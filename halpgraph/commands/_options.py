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


def score_words(found: dict[str, Any], over: str) -> str:
    """Return one metric in words; what cannot be said of so few values is left out.

    ``over`` tells what its seeds are: different splits, or trainings as well.
    """
    if found["mean"] is None:
        return "not defined"
    words = [f"{100 * found['mean']:5.1f}"]
    if found["ci"] is not None:
        low, high = (100 * value for value in found["ci"])
        words.append(f"95 % interval {low:.1f} to {high:.1f}")
    for key, what in (("sd_seeds", over), ("sd_folds", "folds")):
        if found[key] is not None:
            words.append(f"sd {100 * found[key]:.1f} over {what}")
    return "  ".join(words)

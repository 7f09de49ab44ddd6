"""embed and evaluate: embeddings out of a run, scores for any embeddings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halpgraph.commands._options import Json, echo_json, score_words


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(epilog="Example: halpgraph embed runs/graphcl_mutag-3f9c2a1b --out z.npz")(embed)
    app.command(epilog="Example: halpgraph evaluate z.npz --with svm,linear,knn")(evaluate)


def embed(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[Path, typer.Option("--out", help="The .npz file to write.")],
    cell: Annotated[str | None, typer.Option(help="Data set or grid point, if several.")] = None,
    arm: Annotated[str | None, typer.Option(help="Arm (default: the first).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed (default: the first).")] = None,
    as_json: Json = False,
) -> None:
    """Write the embeddings of a finished training: z [n, D], y [n], id [n]."""
    from halpgraph.embeddings import export

    found = export(run, out, cell, arm, seed)
    if as_json:
        echo_json(found)
    else:
        typer.echo(
            f"{found['out']}: {found['graphs']} graphs, {found['width']} columns "
            f"({found['cell']}, {found['arm']}, seed {found['seed']})"
        )


def evaluate(
    file: Annotated[Path, typer.Argument(help="An .npz file with z [n, D] and y [n].")],
    evaluators: Annotated[
        str, typer.Option("--with", help="Evaluators, separated by commas.")
    ] = "svm",
    folds: Annotated[int, typer.Option(min=2, help="Outer folds.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="Different splits into folds.")] = 5,
    as_json: Json = False,
) -> None:
    """Evaluate any embeddings, nested and seeded, as the reports do.

    Where the file holds named splits (train and test, and perhaps valid, as positions), those are
    used instead of folds.
    """
    from halpgraph.embeddings import evaluate_file

    rows = evaluate_file(file, [name.strip() for name in evaluators.split(",")], folds, seeds)
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        for metric, found in row["metrics"].items():
            words = score_words(found, "splits")
            typer.echo(f"{row['evaluator']:<8} {metric.replace('_', ' '):<18} {words}")

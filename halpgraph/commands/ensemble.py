"""ensemble: several streams or arms of finished runs, judged together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from halpgraph.commands._options import Data, Json, echo_json, score_words
from halpgraph.errors import UserError


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command(
        epilog="Example: halpgraph ensemble runs/joint-1f0c9a2b runs/bone-77ab01cd:halp "
        "--weights 0.6,0.4 --evaluator linear"
    )(ensemble)


def ensemble(
    members: Annotated[
        list[str],
        typer.Argument(help="Finished runs: RUN, RUN:ARM or RUN:CELL/ARM; 'RUN:stream-*/ARM'."),
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            help="One a member, separated by commas; or 'search': inside the training part "
            "(default: equal)."
        ),
    ] = None,
    evaluator: Annotated[
        str | None, typer.Option(help="Whose scores (default: the first of the first run).")
    ] = None,
    each: Annotated[
        int,
        typer.Option(min=1, help="Trainings of every member that make one result, seed by seed."),
    ] = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Add up the scores of several streams clip by clip, and judge the sum.

    Weights are equal or yours; only `--weights search` looks for them, by inner splits of the
    training part. They never depend on the test labels. Nothing is written into the runs.
    With `--each 2`, two trainings of every member are fused: of ten seeds, five results.
    """
    from halpgraph.ensemble import ensemble as fuse

    found = fuse(members, _numbers(weights), evaluator, data, each)
    if as_json:
        echo_json(found)
        return
    for seed, shares in (found["searched"] or {}).items():
        typer.echo(f"seed {seed}: weights {', '.join(f'{share:.1f}' for share in shares)}")
    over = f"{len(found['seeds']) // each} groups of {each} seeds" if each > 1 else "seeds"
    for row in found["members"]:
        typer.echo(f"{row['weight']:.3f} x {row['name']}: accuracy {_accuracy(row, over)}")
    of = f", {each} trainings each" if each > 1 else ""
    typer.echo(f"together{of}: accuracy {_accuracy(found, over)}")
    gap = found["differences"]["accuracy"]
    typer.echo(f"together minus {found['reference']}: {_gap(gap)}")


def _accuracy(row: dict[str, Any], over: str) -> str:
    return score_words(row["metrics"]["accuracy"], over).strip()


def _gap(gap: dict[str, Any]) -> str:
    """Return a paired difference in words."""
    words = [f"{100 * gap['mean']:+.1f} points"]
    if gap["ci"] is not None:
        low, high = (100 * value for value in gap["ci"])
        words.append(f"95 % interval {low:+.1f} to {high:+.1f}")
    if gap["p"] is not None:
        words.append("p < 0.001" if gap["p"] < 0.001 else f"p {gap['p']:.3f}")
    return f"{'  '.join(words)}  ({gap['verdict']})"


def _numbers(text: str | None) -> list[float] | Literal["search"] | None:
    if text is None:
        return None
    if text == "search":
        return "search"
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--weights {text}: not numbers; write them as 0.6,0.6,0.4, or search"
        ) from None

"""run, check, compare, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from halpgraph.commands._options import Data, Json, Set, echo_json
from halpgraph.errors import RunError, UserError

Recipe = Annotated[str, typer.Argument(help="A recipe's file, or the name of a shipped one.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder for the folders of runs.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Processes side by side (default: all cores).")
]
Run = Annotated[Path, typer.Argument(help="The folder of a run.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(
        epilog="Example: halpgraph run recipes/graphcl_mutag.yaml --set seeds=[0,1] --jobs 2"
    )(run)
    app.command(epilog="Example: halpgraph check recipes/table8.yaml --set encoder.hidden=64")(
        check
    )
    app.command(epilog="Example: halpgraph compare runs/graphcl_mutag-* runs/graphcl_wide-*")(
        compare
    )
    app.command(epilog="Example: halpgraph report runs/graphcl_mutag-3f9c2a1b")(report)


def run(
    recipe: Recipe,
    overrides: Set = None,
    runs: Runs = Path("runs"),
    jobs: Jobs = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Pre-train and evaluate everything a recipe says, and write a report.

    The same command goes on with an interrupted run, and returns a finished one at once.
    """
    try:
        from halpgraph import runner

        folder = runner.run(
            recipe, overrides=overrides or (), runs=runs, jobs=jobs, data=data, quiet=as_json
        )
    except BaseException as error:
        if not _interrupted(error):
            raise
        raise RunError(
            "interrupted; what is done is kept, and the same command goes on from there"
        ) from None
    page = folder.path / "report.html"
    if as_json:
        echo_json({"run": folder.path, "report": page, "scores": folder.scores})
        return
    from halpgraph.reports.console import print_scores

    print_scores(folder.scores)
    typer.echo(f"report: {page}")


def _interrupted(error: BaseException | None) -> bool:
    """Say whether an error is Ctrl-C, or what compiled code made of it when it came inside."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def check(
    recipe: Recipe,
    overrides: Set = None,
    runs: Runs = Path("runs"),
    jobs: Jobs = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Validate a recipe and its data without training; say roughly what it will cost."""
    from halpgraph.costs import check as look

    found = look(recipe, overrides or (), runs=runs, jobs=jobs, data=data)
    if as_json:
        echo_json(found)
        if "missing" in found:
            raise typer.Exit(2)
        return
    typer.echo(f"{recipe}: valid")
    if "missing" in found:
        _cost_of_absent(found)
    for cell in found["cells"]:
        typer.echo(
            f"  {cell['name']}: {cell['graphs']} graphs, features {cell['features']}, "
            f"{cell['found_in']}"
        )
    typer.echo(
        f"  {_many(len(found['arms']), 'arm')} ({', '.join(found['arms'])}), "
        f"{_many(found['seeds'], 'seed')}, {_many(found['trainings'], 'training')}\n"
        f"  roughly {found['minutes_text']} on {found['cores']} cores, "
        f"{found['memory_mb']:.0f} MB a process\n"
        f"  {found['run']} ({found['state']})"
    )


def _cost_of_absent(found: dict[str, Any]) -> None:
    """Say what a recipe will cost once its data are here, then fail for want of them."""
    clips = found["clips_to_train"]
    typer.echo(
        f"  {_many(len(found['arms']), 'arm')} ({', '.join(found['arms'])}), "
        f"{_many(found['seeds'], 'seed')}, {_many(found['trainings'], 'training')}"
        f"{f' on {clips:,} clips' if clips else ''}\n"
        f"  roughly {found['minutes_text']} on {found['cores']} cores of this machine without a "
        f"GPU, {found['memory_mb']:.0f} MB a process"
    )
    raise UserError(found["missing"])


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    as_json: Json = False,
) -> None:
    """Compare the arms of runs, paired over seeds and folds."""
    from halpgraph.reports.compare import compare_runs, comparison_text

    rows = compare_runs(runs)
    if as_json:
        echo_json(rows)
    else:
        typer.echo(comparison_text(rows))


def report(run: Run, as_json: Json = False) -> None:
    """Write a run's report again from what is in its folder."""
    from halpgraph.reports.page import write_report
    from halpgraph.rundir import RunDir

    folder = RunDir.open(run)
    _ = folder.scores
    page = write_report(folder.path)
    if as_json:
        echo_json({"run": folder.path, "report": page})
    else:
        typer.echo(f"report: {page}")

"""data prepare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from halpgraph.commands._options import Data, Json, echo_json

if TYPE_CHECKING:
    from halpgraph.data.prepare import PrepareReport

SHOWN = 10  # dropped samples that are printed one by one; the rest is in meta.json
Name = Annotated[
    str, typer.Argument(help="ntu60, ntu120, pku1, pku2, nw_ucla or utd_mhad.", metavar="NAME")
]
RawPath = Annotated[
    Path | None,
    typer.Option(
        "--raw",
        help="Folder of the raw files, a zip of them, or a folder of zips. May be left out for "
        "nw_ucla and utd_mhad where their files lie in a data folder.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Where the set will be (else in the cache).")
]
Convention = Annotated[
    str | None,
    typer.Option("--convention", help="How bodies are chosen and placed; see docs/ntu_pku.md."),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Number of processes (else one a core).")
]
Half = Annotated[bool, typer.Option("--float16", help="Store half precision: half the room.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def prepare(
    name: Name,
    raw: RawPath = None,
    out: Out = None,
    convention: Convention = None,
    jobs: Jobs = None,
    float16: Half = False,
    quiet: Quiet = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Read the raw files of a skeleton set once; stopped half-way, the same command goes on."""
    from halpgraph.data.prepare import prepare as work
    from halpgraph.data.skeleton_load import default_out, raw_at_hand

    place = out or default_out(name)
    dtype = "float16" if float16 else "float32"
    files = raw or raw_at_hand(name, data)
    report = work(name, files, place, convention=convention, jobs=jobs, dtype=dtype, quiet=quiet)
    if as_json:
        echo_json(_plain(report, place))
    else:
        _print(report, place)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: halpgraph data prepare ntu60 --raw nturgb+d_skeletons")(prepare)


def _plain(report: PrepareReport, place: Path) -> dict[str, Any]:
    return {
        "name": report.prepared.name,
        "path": place,
        "convention": report.prepared.meta["convention"],
        "clips": len(report.prepared),
        "table": report.table,
        "splits": [asdict(check) | {"ok": check.ok} for check in report.splits],
        "notes": report.notes,
        "dropped": [asdict(item) for item in report.dropped],
    }


def _print(report: PrepareReport, place: Path) -> None:
    typer.echo(f"{report.prepared.name}, convention {report.prepared.meta['convention']}: {place}")
    for row in report.table:
        typer.echo(f"{row['count']:>9,}  {row['what']}")
    for check in report.splits:
        word = "as published" if check.ok and check.expected_train is not None else ""
        if not check.ok:
            word = f"differs: published are {check.expected_train:,} / {check.expected_test:,}"
        sizes = f"{check.train:,} train / {check.test:,} test"
        typer.echo(f"split {check.name}: {sizes}  {word}".rstrip())
    damaged = [item for item in report.dropped if item.kind.startswith("damaged")]
    for item in damaged[:SHOWN]:
        typer.echo(f"{item.name}: {item.reason}")
    if len(damaged) > SHOWN:
        typer.echo(f"... and {len(damaged) - SHOWN} more; all of them are in meta.json")

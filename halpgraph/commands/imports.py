"""data import, data export."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from halpgraph.commands._options import Json, echo_json

if TYPE_CHECKING:
    from halpgraph.data.clips import Prepared

SHOWN = 10  # skipped clips that are printed one by one; all are in meta.json and with --json


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(
        "import",
        epilog="Example: halpgraph data import clips --format csv --layout body.yaml --out mine "
        "--split subject=1-6",
    )(import_)
    app.command(epilog="Example: halpgraph data export mine --format pyskl --out mine.pkl")(export)


def import_(
    path: Annotated[Path, typer.Argument(help="The file or folder of poses.")],
    format: Annotated[
        str, typer.Option("--format", help="pyskl, ctrgcn, agcn, crossclr, npz or csv.")
    ],
    layout: Annotated[
        str, typer.Option("--layout", help="A shipped layout's name, or a layout file (.yaml).")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the set; must not exist.")],
    name: Annotated[str | None, typer.Option("--name", help="Of the set (else of --out).")] = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="Text file: names of the classes, one a line.")
    ] = None,
    scale: Annotated[
        float, typer.Option("--scale", help="Multiplies coordinates; 0.001 for millimetres.")
    ] = 1.0,
    normalise: Annotated[
        str, typer.Option("--normalise", help="image: pixels become -1 to 1; else none.")
    ] = "none",
    image_size: Annotated[
        str | None,
        typer.Option("--image-size", metavar="WxH", help="Of images, where the file has none."),
    ] = None,
    nan: Annotated[
        str, typer.Option("--nan", help="NaN joints: skip the clip, or zero (not seen).")
    ] = "skip",
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="FIELD=VALUES",
            help="Clips with these values train, the others test: subject=1,2,5-8; repeatable.",
        ),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Field whose groups the file's own splits keep together."),
    ] = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Frames a second; kept.")] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store half precision.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="A clip that cannot be used is an error.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read poses of other programs, or one's own, into a prepared set."""
    from halpgraph.data.imports import import_poses

    found = import_poses(
        path,
        format,
        layout,
        out,
        name=name,
        classes=classes,
        scale=scale,
        normalise=normalise,
        image=_image(image_size),
        nan=nan,
        split=split or (),
        groups=groups,
        fps=fps,
        dtype="float16" if float16 else "float32",
        strict=strict,
    )
    said = _facts(found, out)
    if as_json:
        echo_json(said)
        return
    _print(said)


def export(
    prepared: Annotated[Path, typer.Argument(help="Folder of a prepared set.")],
    format: Annotated[str, typer.Option("--format", help="pyskl or ctrgcn.")],
    out: Annotated[Path, typer.Option("--out", help="File to write; must not exist.")],
    split: Annotated[
        str | None, typer.Option("--split", help="The split of a ctrgcn file (else the first).")
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", min=0, help="Length of ctrgcn clips; 0: of the longest.")
    ] = 300,
    as_json: Json = False,
) -> None:
    """Write a prepared set as pyskl, mmaction2 or CTR-GCN read it."""
    from halpgraph.data.exports import export as write

    said = write(prepared, format, out, split=split, frames=frames)
    if as_json:
        echo_json(said)
        return
    typer.echo(f"{said['file']}: {said['clips']} clips")
    for note in said["notes"]:
        typer.echo(f"note: {note}")


def _image(text: str | None) -> tuple[int, int] | None:
    from halpgraph.errors import UserError

    if text is None:
        return None
    size = re.fullmatch(r"([1-9]\d*)[xX]([1-9]\d*)", text)
    if size is None:
        raise UserError(f"--image-size {text}: must be WIDTHxHEIGHT, such as 1920x1080")
    return int(size.group(2)), int(size.group(1))


def _facts(found: Prepared, out: Path) -> dict[str, Any]:
    splits = {
        name: {part: len(ids) for part, ids in split.positions().items()}
        for name, split in found.splits.items()
    }
    return {
        "path": out,
        "name": found.name,
        "clips": len(found),
        "persons": int(found.person.max()) + 1,
        "frames": int(found.num_frames.sum()),
        "layout": found.layout.name,
        "classes": found.classes,
        "labelled": found.y is not None,
        "fields": list(found.fields),
        "splits": splits,
        "skipped": found.meta["about"]["skipped"],
        "notes": found.meta["notes"],
    }


def _print(said: dict[str, Any]) -> None:
    typer.echo(f"{said['path']}: {said['clips']} clips, {said['frames']} frames")
    typer.echo(f"layout: {said['layout']}, {said['persons']} at most at once")
    words = ", ".join(said["classes"]) or ("numbers" if said["labelled"] else "none")
    typer.echo(f"labels: {words}")
    if said["fields"]:
        typer.echo(f"fields: {', '.join(said['fields'])}")
    for name, parts in said["splits"].items():
        typer.echo(f"split {name}: " + ", ".join(f"{n} {part}" for part, n in parts.items()))
    for note in said["notes"]:
        typer.echo(f"note: {note}")
    for item in said["skipped"][:SHOWN]:
        typer.echo(f"skipped {item['name']}: {item['reason']}")
    if len(said["skipped"]) > SHOWN:
        typer.echo(f"... and {len(said['skipped']) - SHOWN} more; all of them are in meta.json")

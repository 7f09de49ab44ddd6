"""data show: a clip of a skeleton set as a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from halpgraph.commands._options import Data, Json, echo_json


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(epilog="Example: halpgraph data show nw_ucla --sample 0 --out walk.gif")(show)


def show(
    name: Annotated[str, typer.Argument(help="A skeleton set's name, or a prepared folder.")],
    sample: Annotated[str, typer.Option("--sample", help="A clip's name, or its position from 0.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write: .png, .svg or .gif (default NAME-ID.png)."),
    ] = None,
    data: Data = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames to draw (default 8; of a .gif all, at most 120)."),
    ] = None,
    turn: Annotated[float, typer.Option(help="Degrees to walk around a body in space.")] = 0.0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a clip as stick figures, to see whether joints, axes and persons are right."""
    from halpgraph.data.picking import find_clip
    from halpgraph.data.skeleton_load import open_prepared
    from halpgraph.drawing import save_gif, save_strip
    from halpgraph.errors import UserError

    found = open_prepared(name, data)
    index = find_clip(found, sample)
    clip = found.clip(index)
    out = out or Path(f"{_plain(found.name)}-{_plain(clip.name)}.png")
    if out.suffix not in (".png", ".svg", ".gif"):
        raise UserError(f"--out {out}: pictures are .png, .svg or .gif")
    if out.exists() and not force:
        raise UserError(f"--out {out}: is there already; choose another, or overwrite with --force")
    if out.suffix == ".gif":
        drawn = save_gif(out, clip, found.layout, frames, turn)
    else:
        drawn = save_strip(out, clip, found.layout, frames or 8, turn)
    persons = int(clip.pose.any((1, 2, 3)).sum())
    label = clip.label
    known = label is not None and label < len(found.classes)
    said = {
        "file": out,
        "set": found.name,
        "clip": clip.name,
        "position": index,
        "frames": clip.pose.shape[1],
        "drawn": drawn,
        "persons": persons,
        "label": label,
        "class": found.classes[label] if known and label is not None else None,
        "layout": found.layout.name,
    }
    if as_json:
        echo_json(said)
        return
    of_class = "no label" if label is None else f"label {label}"
    of_class += f" ({said['class']})" if said["class"] else ""
    typer.echo(
        f"{out}: {clip.name}, {drawn} of {said['frames']} frames, "
        f"{persons} person{'s' if persons != 1 else ''}, {of_class}"
    )


def _plain(name: str) -> str:
    """Return a name that can be part of a file's."""
    return re.sub(r"[^\w.-]+", "_", name)

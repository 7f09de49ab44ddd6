"""From a file or folder of poses to a prepared set; clips that cannot be used are reported."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Clip, Prepared, Split
from halpgraph.data.imports._source import Skipped, Source
from halpgraph.data.imports._splits import field_split, named_split
from halpgraph.data.imports._tidy import Tidy, fits, mismatch
from halpgraph.errors import UserError, did_you_mean
from halpgraph.layout import Layout, get_layout

FORMATS = {  # name: what it is; each is read by the module of its name
    "pyskl": "pickle of pyskl or mmaction2 (annotations, split)",
    "ctrgcn": ".npz of CTR-GCN (x_train, y_train, x_test, y_test)",
    "agcn": "folder of 2s-AGCN (train_data_joint.npy, train_label.pkl, train_num_frame.npy)",
    "crossclr": "folder of CrosSCLR (train_position.npy, train_label.pkl)",
    "npz": "one's own .npz (pose, y, names), or a folder with one a clip",
    "csv": "folder with one .csv a clip, perhaps with labels.csv",
}
ENOUGH = 20  # so many first clips of another layout, and no other, are no accident


@dataclass
class Found:
    """What came of the clips of a source."""

    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_poses(
    path: Path | str,
    format: str,
    layout: Layout | Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    classes: Path | str | Sequence[str] | None = None,
    scale: float = 1.0,
    normalise: str = "none",
    image: tuple[int, int] | None = None,
    nan: str = "skip",
    split: Sequence[str] = (),
    groups: str | None = None,
    fps: float | None = None,
    dtype: str = "float32",
    strict: bool = False,
) -> Prepared:
    """Read poses of another program and write them as a prepared set.

    A clip that cannot be used is skipped; ``meta["about"]["skipped"]`` of the result lists them
    with their reasons, ``meta["notes"]`` says what else was found.

    Args:
        path: the file or folder.
        format: one of ``FORMATS``.
        layout: of the poses: a shipped name, or a layout file.
        out: folder of the set; must not exist.
        name: of the set; the folder's if None.
        classes: their names in the order of the labels, or a text file with one a line.
        scale: multiplies coordinates; 0.001 for millimetres.
        normalise: ``image`` puts the middle of the image at 0 and its edges at -1 and 1.
        image: (height, width) in pixels, for clips that do not say.
        nan: what NaN joints are: ``skip`` the clip, or ``zero``, not seen.
        split: splits by fields, such as ``subject=1,2,5-8`` (those train, the others test).
        groups: field whose groups named splits keep together when something is chosen.
        fps: frames a second; kept, not used.
        dtype: ``float32`` or ``float16``.
        strict: a clip that cannot be used, or a listed name that is not there, is an error.

    Raises:
        UserError: unknown format, another layout, no clip that can be used, or ``out`` exists.
        RunError: the disk is full or read-only.
    """
    path, out = Path(path).expanduser(), Path(out).expanduser()
    layout = layout if isinstance(layout, Layout) else get_layout(layout)
    _check(path, format, scale, normalise, nan, fps)
    tidy = Tidy(layout, scale, normalise == "image", image, nan == "zero")
    source: Source = importlib.import_module(f"{__package__}.{format}").read(path, layout)
    about: dict[str, Any] = {
        "title": name or out.name,
        "source": "own",
        "format": format,
        "file": path.name,
    }
    about |= {"fps": fps, "scale": scale, "normalised": normalise, "values": dict(source.values)}
    names = _classes(classes, source)
    with ClipWriter(
        out, name or out.name, layout, names, f"as in {format}", dtype, about
    ) as writer:
        found = _write(writer, source, tidy, strict)
        splits = _splits(writer, source, found, split, groups, strict)
        writer.about["skipped"] = [
            {"name": item.name, "reason": item.reason} for item in found.skipped
        ]
        return writer.finish(splits, found.notes)


def _check(
    path: Path, format: str, scale: float, normalise: str, nan: str, fps: float | None
) -> None:
    if format not in FORMATS:
        raise UserError(f"format: {format}: unknown{did_you_mean(format, FORMATS)}")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if not (math.isfinite(scale) and scale > 0):
        raise UserError(f"scale: must be above 0, not {scale}")
    if normalise not in ("none", "image"):
        raise UserError(f"normalise: must be none or image, not {normalise}")
    if nan not in ("skip", "zero"):
        raise UserError(f"nan: must be skip or zero, not {nan}")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise UserError(f"fps: must be above 0, not {fps}")


def _classes(given: Path | str | Sequence[str] | None, source: Source) -> list[str]:
    """Return the names of the classes: those given, the source's, or numbers.

    Raises:
        UserError: no such file, or another number of names than the source has classes.
    """
    known = list(source.classes)
    if given is None:
        return known or [str(number) for number in range(source.num_classes or 0)]
    if isinstance(given, (str, Path)):
        try:
            text = Path(given).expanduser().read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"classes: {given}: cannot be read ({error})") from None
        given = [line.strip() for line in text.splitlines() if line.strip()]
    names = [str(name) for name in given]
    if known and names != known:
        raise UserError(
            f"classes: the labels are texts already ({', '.join(known[:5])}); leave it out"
        )
    if source.num_classes is not None and len(names) != source.num_classes:
        raise UserError(f"classes: {len(names)} names for {source.num_classes} classes")
    return names


def _write(writer: ClipWriter, source: Source, tidy: Tidy, strict: bool) -> Found:
    found = Found(notes=list(source.notes))
    for item in source.clips:
        skipped = item if isinstance(item, Skipped) else _add(writer, item, tidy)
        if skipped is None:
            continue
        found.skipped.append(skipped)
        if strict:
            raise UserError(f"{skipped.name}: {skipped.reason}")
        if len(found.skipped) == ENOUGH and not len(writer):
            _other_layout(found.skipped)
    if not len(writer):
        _other_layout(found.skipped)
        why = "; ".join(f"{item.name}: {item.reason}" for item in found.skipped[:3])
        raise UserError(
            f"{writer.name}: no clip could be used, {len(found.skipped)} were skipped ({why})"
        )
    if found.skipped:
        found.notes.append(f"{len(found.skipped)} clips could not be used and were left out")
    return found


def _add(writer: ClipWriter, clip: Clip, tidy: Tidy) -> Skipped | None:
    try:
        clip = tidy(clip)
        if not fits(clip, tidy.layout):
            joints, channels = clip.pose.shape[2:]
            text = f"{joints} joints with {channels} channels"
            reason = str(mismatch(clip.name, text, joints, channels, tidy.layout))
            return Skipped(clip.name, reason.removeprefix(f"{clip.name}: "), other_layout=True)
        writer.add(clip)
    except UserError as error:
        return Skipped(clip.name, str(error).removeprefix(f"{clip.name}: "))
    return None


def _other_layout(skipped: Sequence[Skipped]) -> None:
    """Refuse a source whose clips are all of another layout, in one message."""
    others = [item for item in skipped if item.other_layout]
    if others and len(others) * 2 > len(skipped):
        raise UserError(f"{others[0].name}: {others[0].reason}")


def _splits(
    writer: ClipWriter,
    source: Source,
    found: Found,
    wanted: Sequence[str],
    groups: str | None,
    strict: bool,
) -> dict[str, Split]:
    known = writer.fields[0]
    if groups is not None and groups not in known:
        raise UserError(f"groups: clips have no field {groups}{did_you_mean(groups, known)}")
    names, skipped = list(writer.names), {item.name for item in found.skipped}
    missing = {"labels.csv": list(source.missing)} if source.missing else {}
    splits: dict[str, Split] = {}
    for text in wanted:
        key, made = field_split(text, writer.fields, source.values)
        splits[key] = made
    for key, parts in source.splits.items():
        split, absent = named_split(key, parts, names, skipped)
        if split is not None:
            splits.setdefault(key, Split(split.part, groups))
        else:
            found.notes.append(f"split {key} is left out: no clip of one of its parts is there")
        if absent:
            missing[f"split {key}"] = absent
    for where, absent in missing.items():
        words = f"{where} names {len(absent)} clips that are not there ({absent[0]})"
        if strict:
            raise UserError(words)
        found.notes.append(words)
    return splits

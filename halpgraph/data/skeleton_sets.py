"""From a prepared skeleton set, or clips in memory, to a data set that is ready to train on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch_geometric.data import Data

from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Clip, Ints, Prepared, Split
from halpgraph.data.dataset import DataSet
from halpgraph.data.skeleton_splits import ChosenSplit, choose_split
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.data.toy import CLASSES, LAYOUT, toy_clips, toy_splits
from halpgraph.errors import UserError
from halpgraph.layout import Layout, get_layout

FRAMES = 64


def from_prepared(
    found: Prepared,
    split: str | None = None,
    frames: int | None = None,
    centre: str | None = None,
    align: str | None = None,
    scale: str | None = None,
    fit: str | None = None,
) -> DataSet:
    """Make a data set of a prepared skeleton set.

    Args:
        found: the set.
        split: one of its named splits (the first by default); ``folds:FIELD`` for cross-validation
            that keeps the groups of a field together; ``inside:SPLIT:GROUP`` to choose settings by,
            SPLIT's training part alone, one of its subjects or views left out to test on; ``none``
            for stratified folds.
        frames: T of every batch; 64 by default.
        centre: ``first`` (default) or ``none``; see ``find_placement``.
        align: ``yaw`` or ``none`` (default).
        scale: ``torso`` or ``none`` (default).
        fit: what encoders are trained on: the ``train`` part of a named split (default), or
            ``all`` clips, which is the only choice where there is no named split.

    Raises:
        UserError: no such split or field, or settings that do not fit the layout.
    """
    if frames is not None and frames < 2:
        raise UserError(f"data.frames: {frames} is too few; motion needs two frames or more")
    how = {"centre": centre or "first", "align": align or "none", "scale": scale or "none"}
    store = SkeletonStore.from_prepared(found, frames or FRAMES, **how)
    split = split or next(iter(found.splits), "none")
    chosen = choose_split(found, split)
    positions = chosen.positions
    if fit == "train" and positions is None:
        raise UserError("data.fit: train needs a named split (data.split); use data.fit=all")
    learn = positions["train"] if positions is not None and fit != "all" else None
    data = DataSet(store, found.y, _info(found, store, how, chosen, learn))
    data.splits, data.groups, data.fit = positions, chosen.groups, learn
    data.names, data.fields, data.prepared = found.names, found.fields, found
    return data


def from_clips(
    clips: Iterable[Clip],
    layout: Layout | str,
    name: str = "custom",
    classes: Sequence[str] = (),
    splits: Mapping[str, Split] | None = None,
    **settings: Any,
) -> DataSet:
    """Make a data set of clips in memory; ``settings`` are those of ``from_prepared``.

    Raises:
        UserError: a clip cannot be used; the message names it.
    """
    layout = layout if isinstance(layout, Layout) else get_layout(layout)
    return from_prepared(prepared(clips, layout, name, classes, splits), **settings)


def _info(
    found: Prepared,
    store: SkeletonStore,
    how: Mapping[str, str],
    split: ChosenSplit,
    learn: Ints | None,
) -> dict[str, Any]:
    classes = found.classes or ([] if found.y is None else [str(c) for c in np.unique(found.y)])
    counts = [] if found.y is None else np.bincount(found.y, minlength=len(classes)).tolist()
    layout, bodies = found.layout, len(found.person)
    words = [f"{store.out_frames} frames of {layout.num_joints} joints ({layout.title})"]
    words += [f"{key} {value}" for key, value in how.items() if value != "none"]
    notes = [*found.meta.get("notes", []), f"convention: {found.meta.get('convention')}"]
    info = {
        "name": found.name,
        "title": found.meta.get("about", {}).get("title", found.name),
        "source": found.meta.get("about", {}).get("source", "own"),
        "found_in": "memory",
        "licence": found.meta.get("about", {}).get("licence", ""),
        "citation": found.meta.get("about", {}).get("citation", ""),
        "kind": "skeletons",
        "num_graphs": len(found),
        "num_nodes": bodies * layout.num_joints,
        "num_edges": bodies * len(layout.bones),
        "num_bodies": bodies,
        "num_frames": int(found.num_frames.sum()),
        "num_classes": len(classes),
        "class_counts": counts,
        "class_names": classes,
        "features": ", ".join(words),
        "num_features": len(layout.channels),
        "layout": layout.name,
        "layout_content": layout.content(),
        "persons": store.persons,
        "convention": found.meta.get("convention"),
        "split": split.name,
        "inner": split.inner,
        "fit": "all clips" if learn is None else f"the {len(learn)} training clips",
        "fingerprint": store.fingerprint(),
        "notes": notes,
    }
    if split.positions is not None:
        sizes = ", ".join(f"{len(ids)} {part}" for part, ids in split.positions.items())
        info["metric"] = "accuracy"
        notes.append(f"split {split.name} ({sizes})")
    return info


def open_set(name: str, root: str | Path | None = None) -> tuple[Prepared, str]:
    """Open a skeleton set by name or by the path of its prepared folder, and say where it was.

    Raises:
        UserError: not here; the message says how to get and prepare it.
    """
    if name == "toy":
        return toy_set(), "made on the spot"
    from halpgraph.data.skeleton_load import open_prepared

    found = open_prepared(name, root)
    return found, f"prepared set: {getattr(found.frames, 'filename', name)}"


def toy_set(clips: int = 384, seed: int = 0) -> Prepared:
    """Return the toy motions as a prepared set; see ``halpgraph.data.toy``."""
    made = list(toy_clips(clips, seed))
    splits = toy_splits(np.array([clip.fields["subject"] for clip in made]))
    about = {"title": "Toy motions: eight motions of twelve people, made up", "source": "toy"}
    return prepared(made, get_layout(LAYOUT), "toy", CLASSES, splits, about)


def prepared(
    clips: Iterable[Clip],
    layout: Layout,
    name: str,
    classes: Sequence[str] = (),
    splits: Mapping[str, Split] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Prepared:
    """Return clips as a prepared set in memory.

    Raises:
        UserError: a clip cannot be used; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:
        with ClipWriter(Path(folder) / "set", name, layout, classes, about=about) as writer:
            for clip in clips:
                writer.add(clip)
            found = writer.finish(splits)
        found.frames = np.array(found.frames)  # the folder goes
    return found


def read_clips(samples: Iterable[Any]) -> list[Clip]:
    """Return clips of arrays [T, V, C] or [M, T, V, C], or of PyG ``Data`` with x [M * V, T, C].

    Raises:
        UserError: something else; the message says which.
    """
    return [_read_clip(i, sample) for i, sample in enumerate(samples)]


def _read_clip(i: int, sample: Any) -> Clip:
    if isinstance(sample, Clip):
        return sample
    if isinstance(sample, Data):
        if sample.x is None or sample.x.dim() != 3 or "person" not in sample:
            raise UserError(f"X[{i}]: a skeleton needs x [M * V, T, C] and person [M * V]")
        people = int(sample.person.max()) + 1
        pose = np.zeros((people, len(sample.x) // len(sample.person.unique()), *sample.x.shape[1:]))
        for person in sample.person.unique().tolist():
            pose[person] = sample.x[sample.person == person].numpy()
        return Clip(f"X[{i}]", pose.transpose(0, 2, 1, 3))  # [M, T, V, C]
    pose = np.asarray(sample)
    if pose.ndim not in (3, 4):
        raise UserError(f"X[{i}]: a clip is [T, V, C] or [M, T, V, C], not {pose.shape}")
    return Clip(f"X[{i}]", pose if pose.ndim == 4 else pose[None])

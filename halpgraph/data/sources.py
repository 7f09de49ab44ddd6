"""Where a data set is looked for: the user's folders, the cache, a package, the network."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from halpgraph.data.cards import Card, cards
from halpgraph.errors import UserError, did_you_mean

Source = Literal["tu", "ogb", "skeletons", "toy"]


@dataclass(frozen=True)
class Found:
    """A folder or archive, and in words where it was found."""

    path: Path
    place: str


def cache_dir() -> Path:
    """Return the folder of downloads: ``HALPGRAPH_CACHE``, or the user's cache folder."""
    own = os.environ.get("HALPGRAPH_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "halpgraph"


def look(name: str, source: Source = "tu", root: str | Path | None = None) -> Found | None:
    """Return the first local copy of a data set, or None; nothing is read or downloaded.

    Args:
        name: the data set.
        source: its layout.
        root: the user's data folder (``--data``).

    Raises:
        UserError: ``root`` is not a folder.
    """
    if source == "toy":
        return Found(Path("-"), "made on the spot")
    own = Path(name).expanduser()
    if source == "skeletons" and (own / "meta.json").is_file():  # the path of a prepared folder
        return Found(own, "given path")
    if source == "skeletons" and len(own.parts) > 1:
        return None
    for folder, place in _folders(root):
        for path in _candidates(folder, name, source):
            if path.is_file() or path.is_dir():
                return Found(path, place)
    return _grakel(name) if source == "tu" else None


def find(name: str, card: Card | None, root: str | Path | None = None) -> Found:
    """Return a data set's folder or archive, downloading it where no copy is at hand.

    Raises:
        UserError: unknown name, or no copy here and no way to fetch one.
    """
    found = look(name, card.source if card else "tu", root)
    if found is not None:
        return found
    if card is None:
        raise UserError(
            f"data.name: {name}: unknown data set{did_you_mean(name, cards())}. For a set of your "
            f"own put {name}.zip or the folder {name} (with {name}_A.txt in it) into a folder and "
            "pass it with --data"
        )
    from halpgraph.data.download import download

    return Found(download(card, cache_dir()), "download")


def target(card: Card) -> str:
    """Return the name of the file or folder that a copy of a data set must have."""
    return f"{card.name}.zip" if card.source == "tu" else _ogb_folder(card.name)


def _ogb_folder(name: str) -> str:
    return name.replace("-", "_")


def _folders(root: str | Path | None) -> Iterator[tuple[Path, str]]:
    if root is not None:
        folder = Path(root).expanduser()
        if not folder.is_dir():
            raise UserError(f"--data {root}: no such folder")
        yield folder, "data folder"
    if os.environ.get("HALPGRAPH_DATA"):
        yield Path(os.environ["HALPGRAPH_DATA"]).expanduser(), "HALPGRAPH_DATA"
    yield cache_dir(), "cache"


def _candidates(folder: Path, name: str, source: Source) -> Iterator[Path]:
    if source == "skeletons":
        for parent in (folder, folder / "skeleton"):
            if (parent / name / "meta.json").is_file():
                yield parent / name
        return
    if source == "ogb":
        for stem in (_ogb_folder(name), f"{_ogb_folder(name)}_pyg"):
            yield from (folder / stem, folder / "ogb" / stem)
        return
    for parent in (folder, folder / "tu"):
        yield parent / f"{name}.zip"
        if (parent / name).is_dir():
            raw = parent / name / "raw"  # where PyG keeps the text files
            yield raw if raw.is_dir() else parent / name
    if (folder / f"{name}_A.txt").is_file():
        yield folder


def _grakel(name: str) -> Found | None:
    """Return the copy of MUTAG inside the package grakel, which is not imported for it."""
    if name != "MUTAG":
        return None
    spec = importlib.util.find_spec("grakel")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "tests" / "data" / name
        if folder.is_dir():
            return Found(folder, "grakel package")
    return None

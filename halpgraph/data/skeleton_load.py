"""From a name to a prepared skeleton set: its folder, the cache, or raw files at hand."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from halpgraph.data.clips import Prepared, is_prepared, read_prepared
from halpgraph.data.readers import NAMES
from halpgraph.data.sources import _folders, cache_dir
from halpgraph.errors import UserError, did_you_mean

# raw files that are prepared without being asked: small sets, one archive each
RAW = {
    "nw_ucla": ("nw-ucla.zip", "NW-UCLA.zip", "NW-UCLA"),
    "utd_mhad": ("utd-mhad.zip", "UTD-MHAD.zip", "UTD-MHAD"),
}
_ROSE = (
    "register at https://rose1.ntu.edu.sg/dataset/actionRecognition/ and download the skeletons "
    "({files})"
)
_PKU = (
    "ask for access at https://www.icst.pku.edu.cn/struct/Projects/PKUMMD.html and download the "
    "skeletons, the labels and the split files of phase {phase}"
)
HOW = {
    "ntu60": _ROSE.format(files="nturgbd_skeletons_s001_to_s017.zip"),
    "ntu120": _ROSE.format(
        files="nturgbd_skeletons_s001_to_s017.zip and nturgbd_skeletons_s018_to_s032.zip, both in "
        "one folder"
    ),
    "pku1": _PKU.format(phase="1"),
    "pku2": _PKU.format(phase="2"),
    "nw_ucla": "get the folder NW-UCLA (aAA_sSS_eEE_vVV.json) or a zip of it; the set's page is "
    "https://wangjiangb.github.io/my_data.html",
    "utd_mhad": "download the skeletons (aA_sS_tT_skeleton.mat) from "
    "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
}


def open_prepared(name: str, root: str | Path | None = None) -> Prepared:
    """Open a prepared set by name or path; small sets are prepared from raw files at hand.

    Looked through in this order: the path itself; NAME and skeleton/NAME in ``root``,
    HALPGRAPH_DATA and the cache; then raw files of NW-UCLA and UTD-MHAD in the same places, which
    are prepared into the cache (a temporary folder where that cannot be written).

    Args:
        name: of the set, or the path of a prepared folder.
        root: the user's data folder (``--data``).

    Raises:
        UserError: not found; the message says how to get the raw files and what to run.
    """
    path = Path(name).expanduser()
    if is_prepared(path) or len(path.parts) > 1:
        return read_prepared(path)
    for place in _places(root):
        if is_prepared(place / name):
            return read_prepared(place / name)
    return _prepared_from(name, raw_at_hand(name, root))


def raw_at_hand(name: str, root: str | Path | None = None) -> Path:
    """Return the raw files of a small set where they lie in one of the data folders.

    Raises:
        UserError: not found; the message says how to get them and what to run.
    """
    for place in _places(root):
        for raw in RAW.get(name, ()):
            if (place / raw).exists():
                return place / raw
    raise _missing(name)


def is_known(name: str) -> bool:
    """Tell whether a name is that of a skeleton set with a reader."""
    return name in NAMES


def default_out(name: str) -> Path:
    """Return where a set is prepared unless told otherwise."""
    return cache_dir() / "skeleton" / name


def _places(root: str | Path | None) -> Iterator[Path]:
    for folder, _ in _folders(root):
        yield from (folder, folder / "skeleton")


def _prepared_from(name: str, raw: Path) -> Prepared:
    from halpgraph.data.prepare import prepare

    out = default_out(name)
    if not _can_write(out.parent):
        folder = tempfile.mkdtemp(prefix="halpgraph-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # made here, for this process
        out = Path(folder) / name
    try:
        return prepare(name, raw, out, quiet=not sys.stderr.isatty()).prepared
    except UserError:
        if is_prepared(out):  # another process was quicker
            return read_prepared(out)
        raise


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _missing(name: str) -> UserError:
    if name not in HOW:
        return UserError(
            f"data.name: {name}: no prepared skeleton set of that name{did_you_mean(name, HOW)}. "
            "A set of your own is named by the path of its prepared folder"
        )
    return UserError(
        f"data.name: {name}: not prepared here, and its raw files are not at hand. To get it, "
        f"{HOW[name]}; then run `halpgraph data prepare {name} --raw PATH`"
    )

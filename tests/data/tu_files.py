"""Small data sets in TU layout, written for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

# Two triangles and a path: 3 + 3 + 4 nodes, both directions of every edge.
SMALL = {
    "A": "1, 2\n2, 1\n2, 3\n3, 2\n1, 3\n3, 1\n4, 5\n5, 4\n5, 6\n6, 5\n4, 6\n6, 4\n"
    "7, 8\n8, 7\n8, 9\n9, 8\n9, 10\n10, 9\n",
    "graph_indicator": "1\n1\n1\n2\n2\n2\n3\n3\n3\n3\n",
    "graph_labels": "-1\n1\n1\n",
    "node_labels": "5\n6\n8\n5\n5\n6\n8\n8\n8\n5\n",
    "node_attributes": "".join(f"{i / 4}, {-i}\n" for i in range(10)),
}


def write_folder(parent: Path, name: str = "OWN", **parts: str | None) -> Path:
    """Write a set as a folder; parts replace those of SMALL, None leaves one out."""
    folder = parent / name
    folder.mkdir(parents=True)
    for part, text in (SMALL | parts).items():
        if text is not None:
            (folder / f"{name}_{part}.txt").write_text(text)
    return folder


def write_zip(parent: Path, name: str = "OWN", **parts: str | None) -> Path:
    """Write a set as an archive laid out as published."""
    path = parent / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in (SMALL | parts).items():
            if text is not None:
                archive.writestr(f"{name}/{name}_{part}.txt", text)
    return path

"""Where the files that come with the package lie: data set cards and recipes."""

from __future__ import annotations

from pathlib import Path

from halpgraph.errors import RunError

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """Return the folder of shipped files: inside an installed wheel, or beside the sources.

    Args:
        kind: ``datasets`` or ``recipes``.

    Raises:
        RunError: the folder is in neither place, so the installation is incomplete.
    """
    inside = _PACKAGE / "_shipped" / kind
    if inside.is_dir():
        return inside
    # site-packages may hold a foreign package called "datasets": only a checkout counts.
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / kind).is_dir():
        return checkout / kind
    raise RunError(f"{inside}: the package's own {kind} are missing; install halpgraph again")

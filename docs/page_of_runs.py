"""The command line of the scripts that write a page of results from finished runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from halpgraph.errors import UserError

RESULTS = Path(__file__).parent / "results"


def write(name: str, page: Callable[[list[Path]], str], options: str = "") -> None:
    """Write ``docs/results/NAME`` for the runs named on the command line.

    ``options`` are what the script has taken out of it before, for its usage.

    A first word that ends in ``.md`` is the name of another page, so that runs of later days need
    not be put beside those of earlier ones.
    """
    words = sys.argv[1:]
    if words and words[0].endswith(".md"):
        given = Path(words.pop(0))
        if given.parent != Path() and given.resolve().parent != RESULTS.resolve():
            sys.exit(f"{given}: pages of results lie in docs/results; give the name alone")
        name = given.name
    if not words or words[0] in ("-h", "--help"):
        sys.exit(
            f"name the runs' folders: python {Path(sys.argv[0])} {options}[PAGE.md] RUN [RUN ...]"
        )
    target = RESULTS / name
    try:
        text = page([Path(word) for word in words])
    except UserError as error:
        sys.exit(f"{name}: {error}")
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{target}\n")

"""What benchmarks share: contenders take turns; recipes are named on the command line."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence

import torch

Work = Callable[[], object]


def in_turns(work: Mapping[str, Work], rounds: int, device: str = "cpu") -> dict[str, list[float]]:
    """Return the milliseconds of each in every round, after a round that does not count.

    CPU time, or wall time on a GPU.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    spent: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, one in work.items():
            start = clock()
            one()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:
                spent[name].append(1e3 * (clock() - start))
    return spent


def of_recipes(doc: str | None, recipes: Sequence[str], rounds: int) -> argparse.ArgumentParser:
    """Return a command line for benchmarks of recipes, described by the first line of ``doc``."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0] if doc else None)
    parser.add_argument("--recipes", nargs="+", default=list(recipes))
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--data", default=None, help="where data sets are looked for first")
    parser.add_argument("--set", nargs="+", default=[], help="settings changed, as KEY=VALUE")
    return parser

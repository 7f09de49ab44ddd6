"""Seconds of one GraphCL epoch: the published algorithm, ours, ours with HaLP, and the floor.

    python benchmarks/epoch.py --data MUTAG PROTEINS NCI1 DD

prints a Markdown table of CPU seconds on one thread. The contenders take turns in one run, and
medians are compared, since seconds depend on the machine and on what else it does. Yardstick and
``ours`` do the same work: the original graph against one view, which drops a tenth of the nodes or
keeps a connected fifth (the yardstick's fifth is a star, so smaller). ``bare`` is forward and
backward of the encoder alone, on views made beforehand; ``recipe`` is the shipped recipe, two
augmented views that keep four fifths.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from published_graphcl import Yardstick
from torch_geometric.data import Data

from halpgraph.batch import node_features, slice_batch
from halpgraph.data.load import load
from halpgraph.data.store import GraphStore
from halpgraph.engine import Trainer
from halpgraph.recipe import Recipe, validate

HALP = {"name": "halp", "prototypes": 20, "positives": 100, "bank": 0, "mu": 1.0}


def recipe(name: str, *, official: bool = True, head: bool = False) -> Recipe:
    """Return the recipe of one contender."""
    keep = 0.2 if official else 0.8
    parts = [{"name": "drop_nodes", "ratio": 0.1}, {"name": "subgraph", "keep": keep}]
    augmented: dict[str, Any] = {"name": "choice", "of": parts}
    return validate(
        {
            "name": "epoch",
            "evaluators": ["knn"],
            "floors": [],
            "data": {"name": name},
            "views": [{"name": "identity"} if official else copy.deepcopy(augmented), augmented],
            "encoder": {"name": "gin", "layers": 3, "hidden": 32},
            "method": {"name": "graphcl", "variant": "official" if official else "paper"},
            "head": HALP if head else None,
            "train": {"epochs": 20, "batch_size": 128, "optimizer": "adam", "lr": 0.01},
        }
    )


def as_list(store: GraphStore, count: int) -> list[Data]:
    """Return graphs, in random order, as the objects that the published code works on."""
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))[:count]
    whole = store.batch(order)
    graphs = (slice_batch(whole, i, i + 1) for i in range(len(order)))
    return [Data(x=node_features(g), edge_index=g.edge_index.clone()) for g in graphs]


def yardstick_epoch(store: GraphStore, batches: int, size: int = 128) -> Callable[[], float]:
    """Return a function that times some batches of the yardstick, scaled to an epoch."""
    graphs = as_list(store, batches * size)
    yardstick = Yardstick(graphs, size)

    return lambda: warm_cpu(lambda: list(yardstick.steps())) * len(store) / len(graphs)


def bare_epoch(trainer: Trainer) -> Callable[[], float]:
    """Return a function that times the encoder alone on the views of one epoch."""
    encoder: Any = trainer.method.encoder
    ready = [view for views in trainer._view_batches() for view in views]

    def epoch() -> None:
        for view in ready:
            graph = encoder(view).graph
            graph.backward(torch.ones_like(graph))
        encoder.zero_grad()

    return lambda: warm_cpu(epoch)


def warm_cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call right after one that is not timed.

    Epochs follow each other; the first one after another contender's turn finds its memory given
    away and the caches full of other things.
    """
    work()
    return cpu(work)


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def contenders(name: str, batches: int) -> dict[str, Callable[[], float]]:
    """Return the timers of every contender on one data set."""
    store = load(name).graphs

    def epoch_of(**options: bool) -> Callable[[], float]:
        trainer = Trainer(store, recipe(name, **options), seed=0)
        return lambda: warm_cpu(trainer.train_epoch)

    return {
        "yardstick": yardstick_epoch(store, batches),
        "ours": epoch_of(),
        "bare": bare_epoch(Trainer(store, recipe(name), seed=0)),
        "ours + HaLP": epoch_of(head=True),
        "recipe": epoch_of(official=False),
        "recipe + HaLP": epoch_of(official=False, head=True),
    }


def measure(name: str, rounds: int, batches: int) -> dict[str, float]:
    """Return the median CPU seconds of an epoch, after one round that does not count."""
    timers = contenders(name, batches)
    seconds: dict[str, list[float]] = {key: [] for key in timers}
    for turn in range(rounds + 1):
        for key, timer in timers.items():
            if turn == 0 and key == "yardstick":
                continue
            spent = timer()
            if turn:
                seconds[key].append(spent)
    return {key: statistics.median(values) for key, values in seconds.items()}


def peak_megabytes(name: str) -> float:
    """Return the peak memory of a new process that loads a set and trains with HaLP."""
    torch.set_num_threads(1)
    trainer = Trainer(load(name).store, recipe(name, official=False, head=True), seed=0)
    trainer.train_epoch()
    trainer.embed()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rows(names: list[str], rounds: int, batches: int) -> Iterator[str]:
    """Yield the table's lines."""
    columns = ["yardstick", "ours", "bare", "ours + HaLP", "recipe", "recipe + HaLP"]
    ratios = ["yardstick / ours", "ours / bare", "HaLP's share", "peak MB"]
    yield "| " + " | ".join(["data", *columns, *ratios]) + " |"
    yield "|---" * (1 + len(columns) + len(ratios)) + "|"
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(peak_megabytes, (name,))
        s = measure(name, rounds, batches)
        share = 1 - s["recipe"] / s["recipe + HaLP"]
        cells = [f"{s[key]:.3g}" for key in columns]
        cells += [f"{s['yardstick'] / s['ours']:.1f}x", f"{s['ours'] / s['bare']:.2f}"]
        yield "| " + " | ".join([name, *cells, f"{share:.0%}", f"{peak:.0f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one GraphCL epoch.")
    parser.add_argument("--data", nargs="+", default=["MUTAG", "PROTEINS", "NCI1", "DD"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=4, help="batches of the yardstick, a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for row in rows(options.data, options.rounds, options.batches):
        print(row, flush=True)


if __name__ == "__main__":
    main()

"""Seconds of a training step of every method beside those of its bare encoder passes.

For each method of a family recipe (without head) on its data, and of the graph recipes named, one
batch is taken as the engine makes it. ``step``: forward, backward, optimiser, bank. ``passes``: the
very encoder calls of that step (recorded once) repeated on the same batches: forward and backward
where there was a gradient, forward alone where there was none. CPU seconds, one thread, medians of
rounds in which both took turns; ``an epoch`` is the step times the number of batches, views left
out.

    python benchmarks/family.py --rounds 7
"""

from __future__ import annotations

import copy
import statistics
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from turns import in_turns, of_recipes

from halpgraph.contracts import Encoder
from halpgraph.device import no_denormals, threads
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.recipe import Recipe
from halpgraph.runner import prepare, read_and_validate

Call = tuple[Encoder, list[Batch], bool]


def recorded(trainer: Trainer, views: list[Batch]) -> list[Call]:
    """Return every encoder call of one step: module, batches, whether with gradient."""
    calls: list[Call] = []
    inside = False

    def wrap(module: Encoder, name: str, many: bool) -> None:
        plain: Callable[..., Any] = getattr(module, name)

        def call(batches: Any) -> Any:
            nonlocal inside
            if inside:
                return plain(batches)
            inside = True
            try:
                return plain(batches)
            finally:
                inside = False
                grad = torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
                calls.append((module, [loose(b) for b in (batches if many else [batches])], grad))

        setattr(module, name, call)

    found = [m for m in trainer.method.modules() if isinstance(m, Encoder)]
    for module in found:
        wrap(module, "forward", False)
        wrap(module, "encode", True)
    trainer.method(views)
    for module in found:
        del module.forward, module.encode
    return calls


def loose(batch: Batch) -> Batch:
    """Return a batch cut loose from what made it; what had a gradient gets one again."""
    out = copy.copy(batch)
    for key in out.keys():  # noqa: SIM118 - a batch is no mapping
        value = out[key]
        if isinstance(value, Tensor) and value.requires_grad:
            out[key] = value.detach().requires_grad_()
    return out


def passes(calls: list[Call]) -> None:
    """Repeat encoder calls, backward included."""
    total: Tensor | None = None
    for module, batches, grad in calls:
        with torch.set_grad_enabled(grad):
            graphs = [f.graph for f in module.encode(batches)]
        if grad:
            some = torch.stack([graph.sum() for graph in graphs]).sum()
            total = some if total is None else total + some
    if total is not None:
        total.backward()  # type: ignore[no-untyped-call]


def row(label: str, recipe: Recipe, store: Any, rounds: int) -> str:
    """Return one line of the table."""
    trainer = Trainer(store, recipe, 0)
    trainer.method.begin_epoch(10**6, trainer.views)  # the last stage of those that have stages
    trainer.method.train()
    views = next(trainer._view_batches())
    for _ in range(3):  # warm, and the bank holds keys
        trainer._step(views)
    calls = recorded(trainer, views)

    def bare_passes() -> None:
        for parameter in trainer.parameters():
            parameter.grad = None
        passes(calls)

    spent = in_turns({"step": lambda: trainer._step(views), "passes": bare_passes}, rounds)
    step, bare = (statistics.median(spent[name]) for name in ("step", "passes"))
    with_, without = (sum(len(c[1]) for c in calls if c[2] == grad) for grad in (True, False))
    epoch = step / 1e3 * -(-len(store) // recipe.train.batch_size)
    return (
        f"| {label} | {with_} + {without} | {bare:.0f} | {step:.0f} "
        f"| {step / bare:.2f} | {epoch:.2f} |"
    )


def main() -> None:
    """Print the table."""
    parser = of_recipes(__doc__, ["family_nwucla"], 7)
    parser.add_argument("--arms", nargs="+", default=[], help="of the recipes, alone")
    asked = parser.parse_args()
    out = sys.stdout
    out.write("| recipe, method | passes with + without gradient | passes, ms | step, ms ")
    out.write("| step / passes | s an epoch |\n|---|--:|--:|--:|--:|--:|\n")
    with threads(1), no_denormals():
        for name in asked.recipes:
            (cell,) = prepare(read_and_validate(name, asked.set), asked.data)
            for arm in cell.recipe.arms:
                made = cell.recipe.arm(arm)
                if made.head is not None or (asked.arms and arm not in asked.arms):
                    continue
                try:
                    line = row(
                        f"{name}, {cell.recipe.arm_label(arm)}",
                        made,
                        cell.data.fit_store,
                        asked.rounds,
                    )
                except UserError as error:
                    sys.exit(str(error))
                out.write(line + "\n")
                out.flush()


if __name__ == "__main__":
    main()

"""The HaLP head's share of a training step of skeleton recipes.

For each recipe its first arm with a head is trained for a few steps, until the bank is full and the
head has begun. ``step``: forward, backward, optimiser, bank and head on views that are there;
``head``: the head alone, forward and backward to the queries, on the contrasts of such a step. CPU
milliseconds of one thread, medians of rounds in which both take turns, a refresh of the prototypes
and the steps up to the next in each::

    python benchmarks/head_share.py
    python benchmarks/head_share.py --recipes ntu60_stgcn ntu60_bigru --set data.name=toy
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

import torch
from turns import in_turns, of_recipes

from halpgraph.contracts import Contrast
from halpgraph.device import no_denormals, threads
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.recipe import Recipe
from halpgraph.runner import prepare, read_and_validate

RECIPES = ["nwucla_bigru", "nwucla_stgcn", "utdmhad_bigru", "utdmhad_stgcn"]


def row(label: str, recipe: Recipe, store: Any, rounds: int) -> str:
    """Return one line of the table."""
    spec: Any = recipe.head
    trainer = Trainer(store, recipe, 0)
    trainer.method.begin_epoch(recipe.train.epochs, trainer.views)
    trainer.method.train()
    trainer.epoch = recipe.train.epochs  # the head is on, warm-up and all
    views = next(trainer._view_batches())
    size, every = len(views[0]), spec.get("refresh", 1)
    for _ in range(-(-max(spec.get("bank", 0), 1) // size) + 2):
        trainer._step(views)
    contrasts = [loose(c) for c in trainer.method(views).contrasts]

    def steps() -> None:
        for _ in range(every):
            trainer._step(views)

    def heads() -> None:
        for _ in range(every):
            head(trainer, contrasts)

    spent = in_turns({"step": steps, "head": heads}, rounds)
    step, alone = (statistics.median(spent[name]) / every for name in ("step", "head"))
    shares = sorted(100 * h / s for h, s in zip(spent["head"], spent["step"], strict=True))
    return (
        f"| {label} | {size} | {step:.1f} | {alone:.2f} "
        f"| {100 * alone / step:.1f} % | {shares[0]:.1f} to {shares[-1]:.1f} % |"
    )


def loose(contrast: Contrast) -> Contrast:
    """Return a contrast whose query is a leaf."""
    query = contrast.query.detach().requires_grad_()
    return Contrast(query, contrast.key.detach(), contrast.temperature, contrast.stream)


def head(trainer: Trainer, contrasts: list[Contrast]) -> None:
    """Do what the head does in a step."""
    assert trainer.head is not None
    terms = list(trainer.head(contrasts, trainer.epoch).values())
    torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]


def first_with_head(recipe: Recipe) -> Recipe:
    """Return the recipe as its first arm with a head runs it."""
    for arm in recipe.arms:
        made = recipe.arm(arm)
        if made.head is not None:
            return made
    raise UserError(f"{recipe.name}: no arm has a head")


def main() -> None:
    """Print the table."""
    asked = of_recipes(__doc__, RECIPES, 9).parse_args()
    out = sys.stdout
    out.write("| recipe | clips | step, ms | head, ms | share | in single rounds |\n")
    out.write("|---|--:|--:|--:|--:|--:|\n")
    with threads(1), no_denormals():
        for name in asked.recipes:
            try:
                cell = prepare(read_and_validate(name, asked.set), asked.data)[0]
                made = first_with_head(cell.recipe)
                out.write(row(name, made, cell.data.fit_store, asked.rounds) + "\n")
            except UserError as error:
                sys.exit(str(error))
            out.flush()


if __name__ == "__main__":
    main()

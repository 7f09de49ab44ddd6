"""The corridor: batches -> views -> method -> heads -> optimiser, a fixed number of epochs.

The last epoch is the one that is evaluated: nothing is ever stopped early or chosen by a score.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph import states
from halpgraph.batch import split_batch
from halpgraph.building import build_head, build_method, build_views
from halpgraph.contracts import Method
from halpgraph.data.dataset import Store
from halpgraph.device import autocast, generators, keep_memory, no_denormals, pick_device
from halpgraph.errors import RunError, UserError
from halpgraph.optimisers import Stepper, all_finite, make_optimizer
from halpgraph.recipe import Recipe
from halpgraph.schedule import learning_rate

EXPLODED = 1e6
ADVICE = "try a smaller train.lr or a larger temperature"


@dataclass
class EpochReport:
    """What one epoch did: means over its steps, and its seconds."""

    epoch: int
    loss: float
    terms: dict[str, float]
    seconds: float
    cpu_seconds: float
    steps: int
    head: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """One arm with one seed: everything that changes during training, and how to save it.

    Args:
        store: the data set, on the device it is trained on.
        recipe: validated, without arms.
        seed: of the initial weights and of every draw.

    Raises:
        UserError: settings and data that cannot go together.
    """

    def __init__(self, store: Store, recipe: Recipe, seed: int) -> None:
        self.device = pick_device(recipe.train.device)
        if self.device.type == "cpu":
            keep_memory()
        self.store, self.settings = store.to(self.device), recipe.train
        self.random = generators(seed, self.device, ("order", "views", "head"))
        self.method = build_method(store, recipe, seed).to(self.device)
        self.views = build_views(recipe, self.method.n_views)
        self.head = build_head(recipe, self.method, self.random["head"])
        if self.head is not None:
            self.head.to(self.device)
        self._trained = self.parameters()
        self.optimizer = make_optimizer(self._trained, recipe.train)
        self._take_step = Stepper(self.optimizer)
        self.epoch = 0
        if len(store) < 2 and recipe.train.epochs:
            raise UserError("data: contrastive training needs at least 2 graphs")

    def parameters(self) -> list[nn.Parameter]:
        """Return every trainable parameter."""
        modules = [self.method, *([self.head] if self.head is not None else [])]
        return [p for module in modules for p in module.parameters() if p.requires_grad]

    def train_epoch(self) -> EpochReport:
        """Train for one epoch.

        Raises:
            RunError: the loss became NaN or exploded.
        """
        start, cpu = time.perf_counter(), time.process_time()
        if not self.method.training:  # it visits every module
            self.method.train()
        self.method.begin_epoch(self.epoch, self.views)
        self._schedule()
        sums: dict[str, Tensor] = {}
        steps = 0
        with no_denormals():
            for views in self._view_batches():
                for name, term in self._step(views).items():
                    sums[name] = sums[name] + term if name in sums else term
                steps += 1
        terms = {name: float(total) / steps for name, total in sums.items()}
        loss = math.fsum(terms.values())
        self._refuse_nonsense(loss, terms)
        if not all_finite(self._trained):
            raise RunError(f"epoch {self.epoch + 1}: the weights are not finite; {ADVICE}")
        self.epoch += 1
        report = EpochReport(self.epoch, loss, terms, 0.0, 0.0, steps)
        report.head = self.head.pop_diagnostics() if self.head is not None else {}
        report.seconds = time.perf_counter() - start
        report.cpu_seconds = time.process_time() - cpu
        return report

    def try_views(self) -> None:
        """Make the views of one batch, so that views that do not suit the data are told at once.

        Raises:
            UserError: they do not.
        """
        if len(self.store) > 1:
            next(self._view_batches())

    def _view_batches(self) -> Iterator[list[Batch]]:
        """Yield the views of each batch. Views are made for several batches at once."""
        n, size = len(self.store), self.settings.batch_size
        order = torch.randperm(n, generator=self.random["order"])
        cuts = [*range(0, n, size), n]
        if n - cuts[-2] < 2 and len(cuts) > 2:  # a batch of one has no negatives
            del cuts[-2]
        sizes = self.store.ptr.diff().cpu()[order].cumsum(0)
        for first, last in _chunks(cuts, sizes.tolist(), self.store.chunk_nodes):
            low, high = cuts[first], cuts[last]
            graphs = self.store.source(order[low:high].to(self.device))
            made = [self.store.finish(view(graphs, self.random["views"])) for view in self.views]
            pieces = [split_batch(m, [c - low for c in cuts[first : last + 1]]) for m in made]
            yield from (list(views) for views in zip(*pieces, strict=True))

    def _step(self, views: list[Batch]) -> dict[str, Tensor]:
        with autocast(self.device, self.settings.precision):
            step = self.method(views)
            terms = dict(step.terms)
            if self.head is not None:
                terms.update(self.head(step.contrasts, self.epoch))
            values = list(terms.values())
            loss = values[0] if len(values) == 1 else torch.stack(values).sum()
        for parameter in self._trained:  # the optimiser's own zero_grad takes ten times as long
            parameter.grad = None
        loss.backward()
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters(), self.settings.clip, foreach=True)
        self._take_step()
        self.method.after_step()
        terms = {name: term.detach() for name, term in terms.items()}
        if self.device.type == "cpu":  # on a GPU once an epoch: a look waits for the device
            self._refuse_nonsense(float(loss.detach()), terms)
        return terms

    def _refuse_nonsense(self, loss: float, terms: Mapping[str, float | Tensor]) -> None:
        if math.isfinite(loss) and abs(loss) < EXPLODED:
            return
        shown = ", ".join(f"{name} {float(value):.4g}" for name, value in terms.items())
        raise RunError(
            f"epoch {self.epoch + 1}: the loss is {loss:.4g} ({shown}); training stopped. "
            f"{ADVICE[0].upper()}{ADVICE[1:]}"
        )

    def _schedule(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.epoch)

    def state(self) -> dict[str, Any]:
        """Return everything needed to go on bit-equally, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "streams": list(self.method.streams),
            "kind": self.settings.optimizer,
            "method": self.method.state_dict(),
            "head": self.head.state_dict() if self.head is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "random": {name: g.get_state() for name, g in self.random.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state()``.

        Raises:
            RunError: it is of another method, encoder, head, stream or optimiser.
        """
        states.fits(state, self.method.streams, self.settings.optimizer)
        states.load(self.method, state["method"], "method")
        if self.head is not None:
            states.load(self.head, state["head"], "head")
        self.optimizer.load_state_dict(state["optimizer"])
        for name, generator in self.random.items():
            generator.set_state(state["random"][name].cpu())
        self.epoch = int(state["epoch"])

    def start_from(self, state: Mapping[str, Any]) -> None:
        """Take over a finished training as the first part of this one; the head starts fresh.

        Method, optimiser, epoch and the order of graphs and views go on; learning rate, momentum
        and weight decay are this recipe's.

        Raises:
            RunError: as ``load_state``; or no epoch is left.

        Reference: as HaLP's released code goes on from its baseline,
        https://github.com/anshulbshah/HaLP
        """
        states.fits(state, self.method.streams, self.settings.optimizer)
        if int(state["epoch"]) >= self.settings.epochs:
            raise RunError(
                f"{state['epoch']} epochs are done there already and train.epochs="
                f"{self.settings.epochs} counts them; set it higher"
            )
        states.load(self.method, state["method"], "method")
        states.load_optimizer(self.optimizer, state["optimizer"], self.method)
        for name in ("order", "views"):
            saved = state["random"][name].cpu()
            if saved.numel() == self.random[name].get_state().numel():  # not of another device
                self.random[name].set_state(saved)
        self.epoch = int(state["epoch"])

    def embed(self) -> Tensor:
        """Return the embeddings of the whole data set. Shapes: [n, D], on the CPU."""
        return embed(self.method, self.store)


def _chunks(cuts: list[int], nodes_so_far: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of batches of about ``most`` nodes together, at least one batch."""
    first, done = 0, 0
    for last in range(1, len(cuts)):
        after = nodes_so_far[cuts[last + 1] - 1] if last + 1 < len(cuts) else None
        if after is None or after - done > most:
            yield first, last
            first, done = last, nodes_so_far[cuts[last] - 1]


def embed(method: Method, store: Store, batch_size: int = 512) -> Tensor:
    """Return the embeddings of every graph of a store. Shapes: [n, D], on the CPU."""
    method.eval()
    rows = []
    with torch.no_grad():
        for low in range(0, len(store), batch_size):
            ids = torch.arange(low, min(low + batch_size, len(store)))
            rows.append(method.embed(store.batch(ids.to(store.ptr.device))).float().cpu())
    return torch.cat(rows)  # [n, D]

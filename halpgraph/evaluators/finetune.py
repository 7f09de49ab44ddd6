"""Fine-tuning: the encoder and one linear layer are trained with the labels."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Generator, Tensor, nn
from torch_geometric.data import Batch

from halpgraph.contracts import Build, Evaluator, FloatArray, Fold, IntArray, Method, Scores
from halpgraph.errors import RunError, UserError
from halpgraph.evaluators._nested import Outcome, checked
from halpgraph.evaluators._sgd import batch_ends, generator_of, linear_layer, rate, shuffled
from halpgraph.evaluators._shares import Shares, over_shares
from halpgraph.evaluators.probe import outcome
from halpgraph.pose import cut, is_raw
from halpgraph.registry import evaluators

Share = Annotated[float, Field(gt=0, le=1)]
_AT_ONCE = 512


def _ordered(ratio: tuple[float, float]) -> tuple[float, float]:
    if ratio[0] > ratio[1]:
        raise ValueError("the smaller share first")
    return ratio


@evaluators.register
class finetune(Evaluator):  # noqa: N801 - the name of the file
    """Train the encoder and a linear layer on it with the labels; the last epoch is judged.

    With ``shares`` it is the semi-supervised protocol of CMD, on the same labels as ``semi``; with
    ``from_scratch`` the supervised ceiling: the same encoder from fresh weights. The layer reads
    what evaluators see (``Method.embed``). Batch norm and dropout train as in pre-training. Clips
    show a random window of themselves in training and their middle in the test; graphs are whole.

    What differs from the released code: the last epoch is reported, never the one that was best on
    the test set; which labels are shown is seeded; by default their classes are balanced.

    Args:
        epochs: of training with labels.
        lr: of the first epoch.
        batch_size: clips or graphs in a batch; a last batch of one joins the one before.
        drops: epochs after which the learning rate is a tenth.
        least_steps: of the whole training: where few labels make fewer, every epoch is made several
            times over, as often as it takes; 0 as published.
        optimizer: ``sgd`` as published.
        momentum: of SGD.
        weight_decay: of the optimiser.
        crop: least and largest share of a clip that training shows; null for its middle alone.
        min_frames: windows are not shorter than this, unless the clip is.
        shares: of the training labels.
        balanced: as in ``semi``.
        repeats: draws (of labels, batches and the layer's weights) to take the mean of.
        from_scratch: fresh weights instead of the pre-trained ones.

    Reference: Mao et al., "CMD: Self-supervised 3D Action Representation Learning with Cross-modal
    Mutual Distillation", ECCV 2022, https://github.com/maoyunyao/CMD
    """

    needs_encoder = True

    def __init__(
        self,
        epochs: Annotated[int, Field(ge=1)] = 80,
        lr: Annotated[float, Field(gt=0)] = 0.01,
        batch_size: Annotated[int, Field(ge=2)] = 64,
        drops: list[Annotated[int, Field(ge=1)]] = [50, 70],  # noqa: B006 - never changed
        optimizer: Literal["sgd", "adam", "adamw"] = "sgd",
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        weight_decay: Annotated[float, Field(ge=0)] = 0.0,
        crop: Annotated[tuple[Share, Share], AfterValidator(_ordered)] | None = (0.5, 1.0),
        min_frames: Annotated[int, Field(ge=1)] = 64,
        shares: Shares = [1.0],  # noqa: B006 - never changed
        balanced: bool = True,
        repeats: Annotated[int, Field(ge=1)] = 1,
        from_scratch: bool = False,
        least_steps: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.epochs, self.lr, self.batch_size, self.drops = epochs, lr, batch_size, list(drops)
        self.optimizer, self.momentum, self.weight_decay = optimizer, momentum, weight_decay
        self.crop, self.min_frames, self.from_scratch = crop, min_frames, from_scratch
        self.shares, self.balanced, self.repeats = list(shares), balanced, repeats
        self.least_steps = least_steps
        self.label = "Supervised from scratch" if from_scratch else "Fine-tuning"

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Refuse: embeddings cannot be trained further.

        Raises:
            UserError: always.
        """
        raise UserError("finetune needs the encoder: name it in a recipe's evaluators")

    def tune(
        self, build: Build, store: Any, y: IntArray, folds: Sequence[Fold], seed: int
    ) -> Scores:
        """Train and judge in every fold."""
        start = time.process_time()
        _, y, names = checked(np.zeros((len(y), 1)), y)

        def judge(fold: Fold, draw: int) -> Outcome:
            method = build(trained=not self.from_scratch)
            logits = self.train(method, store, fold, y, len(names), generator_of(seed, draw))
            epochs = self.epochs * self.times(len(fold.train))
            return outcome(logits, {"epochs": epochs, "lr": self.lr})

        how = {"shares": self.shares, "balanced": self.balanced, "repeats": self.repeats}
        scores = over_shares(y, names, folds, judge, seed=seed, **how)  # type: ignore[arg-type]
        scores.seconds = time.process_time() - start
        return scores

    def train(
        self, method: Method, store: Any, fold: Fold, y: IntArray, classes: int, random: Generator
    ) -> Tensor:
        """Train the method in place on a fold; return the logits of its test part.

        Shapes: y [n] class positions -> [m, classes], on the CPU.
        """
        device = store.ptr.device
        train, test = (torch.as_tensor(part, device=device) for part in (fold.train, fold.test))
        truth = torch.as_tensor(y, device=device)[train]
        method.eval()
        with torch.no_grad():
            width = method.embed(store.batch(train[:1])).size(1)
        layer = nn.Linear(width, classes).to(device)
        layer.weight.data, layer.bias.data = (
            t.to(device) for t in linear_layer(width, classes, random)
        )
        optimizer = self._optimizer([*method.parameters(), *layer.parameters()])
        method.train()
        with torch.random.fork_rng(enabled=True):  # dropout draws from the global generator
            torch.manual_seed(int(torch.randint(1 << 62, (), generator=random)))
            times = self.times(len(train))
            for epoch in range(self.epochs * times):
                for group in optimizer.param_groups:
                    group["lr"] = rate(self.lr, self.drops, epoch // times)
                for at in shuffled(len(train), self.batch_size, random):
                    at = at.to(device)
                    batch = self._shown(store, train[at], random)
                    _step(method, layer, optimizer, batch, truth[at], epoch)
        method.eval()
        with torch.no_grad():
            parts = [layer(method.embed(store.batch(some))) for some in test.split(_AT_ONCE)]
        return torch.cat(parts).float().cpu()

    def times(self, labels: int) -> int:
        """Return how many times over every epoch is made with so many labels."""
        steps = self.epochs * len(batch_ends(labels, self.batch_size))
        return max(math.ceil(self.least_steps / steps), 1)

    def shown_clips(self, clips: int) -> int:
        """Return how often, in all draws and shares, a clip is shown of so many to train on."""
        some = [max(round(share * clips), 1) for share in self.shares]
        return self.repeats * sum(self.epochs * self.times(labels) * labels for labels in some)

    def _optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        some = [p for p in parameters if p.requires_grad]
        if self.optimizer == "sgd":
            return torch.optim.SGD(some, self.lr, self.momentum, weight_decay=self.weight_decay)
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(some, self.lr, weight_decay=self.weight_decay)

    def _shown(self, store: Any, ids: Tensor, random: Generator) -> Batch:
        """Return what training sees of some clips: a window of each, drawn anew; graphs whole."""
        batch = store.source(ids)
        if self.crop is not None and is_raw(batch):
            n = batch.num_frames
            draws = torch.rand(2, n.numel(), generator=random).to(n.device)
            share = self.crop[0] + (self.crop[1] - self.crop[0]) * draws[0]
            length = torch.minimum((n * share).long().clamp_min(self.min_frames), n)
            begin = (draws[1] * (n - length + 1)).long()
            return cut(batch, begin, length, int(batch.target))
        shown: Batch = store.finish(batch)
        return shown


def _step(
    method: Method,
    layer: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    truth: Tensor,
    epoch: int,
) -> None:
    z = method.embed(batch)  # [B, D]
    if not z.requires_grad:
        raise UserError(
            f"finetune: {type(method).__name__}.embed lets no gradient through; "
            "take 'torch.no_grad' out of it, whoever wants none says so"
        )
    loss = nn.functional.cross_entropy(layer(z), truth)
    if not bool(loss.isfinite()):
        raise RunError(
            f"evaluators.finetune: epoch {epoch + 1}: the loss is not finite; try a smaller lr"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()

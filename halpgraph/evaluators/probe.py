"""The linear probe of the skeleton literature: one layer trained by stochastic gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray, Scores
from halpgraph.errors import RunError
from halpgraph.evaluators._kernels import scaled
from halpgraph.evaluators._nested import Outcome, checked, evaluate
from halpgraph.evaluators._sgd import generator_of, linear_layer, rate, shuffled
from halpgraph.registry import evaluators

PRESETS: dict[str, dict[str, Any]] = {
    "aimclr": {"epochs": 100, "lr": 3.0, "batch_size": 128, "drops": [80]},
    "cmd": {"epochs": 80, "lr": 0.1, "batch_size": 64, "drops": [50, 70]},
    "halp": {"epochs": 80, "lr": 0.005, "batch_size": 64, "drops": [50, 70]},
}


@evaluators.register
class probe(Evaluator):  # noqa: N801 - the name of the file
    """A linear layer on frozen features, trained by SGD with the published settings of a preset.

    Weights start from N(0, 0.01), biases from 0; momentum 0.9, no weight decay, a tenth of the
    learning rate after each drop. The features are taken as they are. Nothing is chosen.

    What differs from the released code: the **last** epoch is reported, never the epoch that was
    best on the test set; the features are those of each clip's middle, made once, where the
    released feeders of CMD and HaLP cut a random window in every epoch; training is seeded.

    Args:
        preset: ``aimclr`` (100 epochs, lr 3, batches of 128, drop at 80), ``cmd`` (80 epochs, lr
            0.1, batches of 64, drops at 50 and 70) or ``halp`` (the same with lr 0.005).
        epochs: instead of the preset's; so are the next three.
        lr: of the first epoch.
        batch_size: clips in a batch; the last one may be smaller.
        drops: epochs after which the learning rate is a tenth.
        momentum: of SGD.
        weight_decay: of SGD, on weights and biases.
        scale: standardise the features, fitted on the training part.

    Reference: Guo et al., "Contrastive Learning from Extremely Augmented Skeleton Sequences",
    AAAI 2022, https://github.com/Levigty/AimCLR; Mao et al., "CMD", ECCV 2022,
    https://github.com/maoyunyao/CMD; HaLP, https://github.com/anshulbshah/HaLP
    """

    def __init__(
        self,
        preset: Literal["aimclr", "cmd", "halp"] = "cmd",
        epochs: Annotated[int, Field(ge=1)] | None = None,
        lr: Annotated[float, Field(gt=0)] | None = None,
        batch_size: Annotated[int, Field(ge=2)] | None = None,
        drops: list[Annotated[int, Field(ge=1)]] | None = None,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        weight_decay: Annotated[float, Field(ge=0)] = 0.0,
        scale: bool = False,
    ) -> None:
        own = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "drops": drops}
        self.how = PRESETS[preset] | {k: v for k, v in own.items() if v is not None}
        self.momentum, self.weight_decay, self.scale = momentum, weight_decay, scale
        self.label = f"SGD linear probe ({preset})"

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""
        z, y, names = checked(z, y)

        def judge(fold: Fold) -> Outcome:
            known, new = scaled(z, fold.train, fold.test, self.scale)
            w, b = self.train(known, y[fold.train], len(names), seed)
            logits = torch.as_tensor(new, dtype=torch.float32) @ w.t() + b  # [m, classes]
            return outcome(logits, dict(self.how))

        return evaluate(y, names, folds, judge)

    def train(self, x: FloatArray, y: IntArray, classes: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return weights and biases after the last epoch.

        Shapes: x [n, D], y [n] class positions -> [classes, D], [classes].

        Raises:
            RunError: they are not finite.
        """
        random = generator_of(seed)
        rows = torch.as_tensor(x, dtype=torch.float32)
        rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)  # [n, D + 1]
        truth = torch.nn.functional.one_hot(torch.as_tensor(y), classes).float()  # [n, classes]
        start, bias = linear_layer(rows.size(1) - 1, classes, random)
        w = torch.cat([start, bias[:, None]], dim=1)  # [classes, D + 1], the biases last
        pace = torch.zeros_like(w)
        for epoch in range(self.how["epochs"]):
            lr = rate(self.how["lr"], self.how["drops"], epoch)
            for at in shuffled(len(rows), self.how["batch_size"], random):
                some = rows[at]
                slope = ((some @ w.t()).softmax(1) - truth[at]).t() @ some / len(at)
                pace.mul_(self.momentum).add_(slope.add_(w, alpha=self.weight_decay))
                w.add_(pace, alpha=-lr)
        if not bool(w.isfinite().all()):
            raise RunError(
                "evaluators.probe: the weights are not finite; "
                f"try less than lr {self.how['lr']:g}, or scale: true"
            )
        return w[:, :-1], w[:, -1]


def outcome(logits: Tensor, chosen: dict[str, Any]) -> Outcome:
    """Return what logits say. Shapes: logits [m, classes]."""
    values = logits.double().numpy()
    decision = values[:, 1] - values[:, 0] if values.shape[1] == 2 else None
    shares = logits.double().softmax(1).numpy()
    return Outcome(values.argmax(1).astype(np.int64), decision, chosen, shares)

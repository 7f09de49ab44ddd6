"""What training by stochastic gradients shares: batches, drops and the linear layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor


def generator_of(*numbers: int) -> Generator:
    """Return a generator on the CPU that differs from those of other numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % (1 << 63)
    return Generator().manual_seed(seed)


def rate(lr: float, drops: Sequence[int], epoch: int) -> float:
    """Return the learning rate of an epoch (from 0): a tenth after each epoch of ``drops``."""
    return lr * 0.1 ** sum(epoch >= drop for drop in drops)


def shuffled(count: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Yield the positions 0 to ``count - 1`` in batches; a last batch of one joins the one before.

    Shapes: [size] each.
    """
    order = torch.randperm(count, generator=generator)
    ends = batch_ends(count, size)
    yield from (order[a:b] for a, b in zip([0, *ends], ends, strict=False))


def batch_ends(count: int, size: int) -> list[int]:
    """Return where each of ``shuffled``'s batches ends."""
    ends = [*range(size, count, size), count]
    if len(ends) > 1 and count - ends[-2] == 1:
        del ends[-2]
    return ends


def linear_layer(width: int, classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return weights drawn from N(0, 0.01) (deviation 0.01) and zero biases.

    Shapes: [classes, width], [classes].
    """
    return 0.01 * torch.randn(classes, width, generator=generator), torch.zeros(classes)

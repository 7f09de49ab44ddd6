"""Random draws of a module's own, remembered in its state, so that a run goes on bit-equally."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Draws(nn.Module):
    """A source of random numbers: a seed, drawn when the module is made, and a count of its uses.

    Both lie in the checkpoint, and the global generators are never touched in training.
    """

    drawn: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("drawn", torch.zeros(2, dtype=torch.long))  # seed and count
        self.reseed()

    def reseed(self) -> None:
        """Draw another seed from the global generator, and count from 0: twins draw apart."""
        self.drawn[0], self.drawn[1] = int(torch.randint(2**40, ())), 0

    def next(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a generator for one use; in eval mode the count stands still."""
        seed, count = self.drawn.tolist()
        if self.training:
            self.drawn[1] += 1
        return torch.Generator(device).manual_seed(seed + count)

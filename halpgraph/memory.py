"""What a head remembers: a bank of past keys, and the prototypes they cluster around."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from halpgraph.errors import UserError


class KeyBank(nn.Module):
    """The newest ``size`` keys, in a ring of any size.

    Batches need not divide the size; of a batch larger than the bank the newest keys stay. The
    keys, the place of the next one and the number stored are all part of ``state_dict``.

    Args:
        size: how many keys are kept.
        dim: width of a key.

    Raises:
        UserError: ``size`` or ``dim`` below 1, or keys of another width.
    """

    keys: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1 or dim < 1:
            raise UserError(f"KeyBank: size and dim must be 1 or more, not {size} and {dim}")
        self.size, self.dim = size, dim
        self.place, self.filled = 0, 0
        self.register_buffer("keys", torch.zeros(size, dim))  # [M, D]

    @property
    def full(self) -> bool:
        """Whether every place holds a key."""
        return self.filled == self.size

    @property
    def stored(self) -> Tensor:
        """Return the keys there are, in no order: a window on the bank, not a copy. [filled, D]."""
        return self.keys[: self.filled]  # the ring turns only once every place is taken

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Store keys, overwriting the oldest. Shapes: keys [B, D]."""
        if keys.dim() != 2 or keys.size(1) != self.dim:
            raise UserError(f"KeyBank: keys must be [B, {self.dim}], not {list(keys.shape)}")
        keys = keys[-self.size :].to(self.keys)
        end = min(keys.size(0), self.size - self.place)
        self.keys[self.place : self.place + end] = keys[:end]
        if end < keys.size(0):
            self.keys[: keys.size(0) - end] = keys[end:]
        self.place = (self.place + keys.size(0)) % self.size
        self.filled = min(self.filled + keys.size(0), self.size)

    def newest(self, count: int | None = None) -> Tensor:
        """Return the newest ``count`` keys (all by default), oldest first. Shapes: [count, D]."""
        count = self.filled if count is None else min(count, self.filled)
        start = self.place - count
        if start >= 0:
            return self.keys[start : self.place].clone()
        return torch.cat([self.keys[start:], self.keys[: self.place]])  # [count, D]

    def get_extra_state(self) -> dict[str, int]:
        """Return the counters, kept as plain numbers so that reading them never waits for a GPU."""
        return {"place": self.place, "filled": self.filled}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the counters."""
        self.place, self.filled = int(state["place"]), int(state["filled"])


class Clusters(NamedTuple):
    """What k-means found. Shapes: centres [k, D], assignment [M], objective [] (mean cosine)."""

    centres: Tensor
    assignment: Tensor
    objective: Tensor


@torch.no_grad()
def spherical_kmeans(
    x: Tensor, k: int, generator: Generator | None = None, iterations: int = 20
) -> Clusters:
    """Cluster unit vectors by their cosines, on whatever device they live.

    Starts as k-means++ does (in cosine distance), then takes turns between giving each vector to
    its nearest centre and each centre the direction of its vectors' sum; the mean cosine never
    falls. A cluster left empty starts again from the vector served worst. Exactly ``min(k, M)``
    centres come back: where fewer vectors are distinct some centres coincide, none is undefined.
    Nothing waits for a GPU; on a CPU the turns end as soon as the assignment stands still.

    Args:
        x: unit vectors.
        k: how many centres.
        generator: decides the start; the result follows from it alone.
        iterations: most turns taken.

    Shapes: x [M, D].

    Raises:
        UserError: no vectors, or ``k`` below 1.

    Reference: Dhillon & Modha, "Concept decompositions for large sparse text data using
        clustering", Machine Learning 2001, https://doi.org/10.1023/A:1007612920971; start: Arthur
        & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    if x.dim() != 2 or x.size(0) < 1 or k < 1:
        raise UserError(
            f"spherical_kmeans: needs x [M, D], M > 0 and k > 0, not {list(x.shape)}, {k}"
        )
    centres = _plus_plus(x, min(k, x.size(0)), generator)
    served, nearest = (x @ centres.T).max(dim=1)  # [M], [M]
    for _ in range(iterations):
        centres = _centres(x, centres.size(0), served, nearest)
        served, now = (x @ centres.T).max(dim=1)
        if not x.is_cuda and torch.equal(now, nearest):
            break
        nearest = now
    return Clusters(centres, nearest, served.mean())


def _plus_plus(x: Tensor, k: int, generator: Generator | None) -> Tensor:
    """Pick k rows, each with a chance proportional to its distance from those picked before.

    The row whose (exponential waiting time / distance) is least has just that chance.
    """
    waits = -torch.log1p(-draw((k, 1, x.size(0)), x, generator))  # [k, 1, M]
    far = 1 + 8 * torch.finfo(x.dtype).eps  # keeps rounded distances above 0
    beyond = x.new_full((1, 1), far)
    away = x.new_full((1, x.size(0)), far)  # [1, M]
    picks = []
    for wait in waits.unbind():
        row = x.index_select(0, (wait / away).argmin(dim=1))  # [1, D]
        picks.append(row)
        apart = torch.addmm(beyond, row, x.T, alpha=-1)  # [1, M]
        away = apart if len(picks) == 1 else torch.minimum(away, apart)
    return torch.cat(picks)  # [k, D]


def _centres(x: Tensor, k: int, served: Tensor, nearest: Tensor) -> Tensor:
    """Return the direction of each cluster's sum. Shapes: served [M], nearest [M] -> [k, D]."""
    members = x.new_zeros(k, x.size(0)).scatter_(0, nearest[None], 1.0)  # [k, M]
    sums = members @ x  # [k, D]
    length: Tensor = torch.linalg.vector_norm(sums, dim=1, keepdim=True)  # [k, 1]
    if x.is_cuda or float(length.min()) == 0:  # asking is free on a CPU, waiting on a GPU is not
        empty = length == 0
        order = served.argsort()[(empty[:, 0].cumsum(0) - 1).clamp_min(0)]  # [k]: worst first
        sums, length = torch.where(empty, x[order], sums), length.masked_fill(empty, 1)
    return sums / length


def draw(shape: tuple[int, ...], like: Tensor, generator: Generator | None) -> Tensor:
    """Return uniform numbers in [0, 1), drawn where the generator lives, placed beside ``like``."""
    device = like.device if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=device, dtype=like.dtype).to(like.device)

"""Positives made up in latent space: how far a key may walk, which walks to keep, what they sum to.

A key ``z`` walks the great circle towards a prototype ``Ps`` that is not its own (``P0``):

    z(a) = cos(a) z + sin(a) (Ps - cos(w) z) / sin(w),    w = angle(z, Ps),    0 <= a <= w

With ``gap_j = z.P0 - z.Pj >= 0``, prototype j overtakes ``P0`` at the angle

    a_j = atan2(sin(w), K_j + cos(w)),    K_j = max(0, Ps.Pj - Ps.P0) / gap_j

``j = s`` gives the paper's end of the walk, and the largest ``K_j`` the first prototype met on the
way. So whether the rank filter keeps a point is a comparison of two angles, and every inner product
follows from ``Z P^T`` and ``P P^T``: training never writes out the points themselves.

Reference: Shah et al., "HaLP: Hallucinating Latent Positives for Skeleton-based Self-Supervised
    Learning of Actions", CVPR 2023, https://arxiv.org/abs/2304.00387
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from halpgraph.errors import UserError
from halpgraph.memory import draw

Filter = Literal["rank", "variant-1", "variant-2", "none"]
FILTERS: tuple[str, ...] = get_args(Filter)


class Walks(NamedTuple):
    """The walk of every key towards each of its C targets, the prototypes it may walk to.

    ``own`` [B] is the key's own prototype, ``target`` [B, C] are those it may walk to; ``cos`` and
    ``sin`` [B, P] are of the angle to every prototype; ``reach`` [B, C] is the angle at which the
    target overtakes the key's own, ``limit`` [B, C] the angle at which the first of all does.
    """

    own: Tensor
    target: Tensor
    cos: Tensor
    sin: Tensor
    reach: Tensor
    limit: Tensor


class Positives(NamedTuple):
    """Points on the walks: which of the C walks, the angle walked, its cosine and sine: [B, G]."""

    walk: Tensor
    angle: Tensor
    cos: Tensor
    sin: Tensor


def walks(similarity: Tensor, relation: Tensor, candidates: int | None = None) -> Walks:
    """Return how far each key may walk towards each of its targets.

    No walk is left undefined. Its reach is 0, so that the positive is the key itself, where the
    target coincides with the key, its antipode, or its own prototype. Similarities closer than
    rounding are ties, and ties break nothing.

    Args:
        similarity: keys to prototypes, ``Z P^T``.
        relation: prototypes to prototypes, ``P P^T``; two prototypes at least.
        candidates: how many of the nearest other prototypes are targets; all by default.

    Shapes: similarity [B, P], relation [P, P].

    Reference: Shah et al., CVPR 2023, Eq. 4-6 with atan2 in place of atan, which would walk
        backwards where ``K + cos(w) < 0``; the released code has the 20 nearest as targets.
    """
    tie = 8 * torch.finfo(similarity.dtype).eps
    best, own = similarity.max(dim=1, keepdim=True)  # [B, 1], [B, 1]
    target = _targets(similarity, own, candidates)
    cos = similarity.clamp(-1, 1)  # [B, P]
    sin = (1 - cos * cos).sqrt_()
    per_gap = (best - similarity).clamp_min_(tie).reciprocal_()  # [B, P]
    base = (
        relation.index_select(0, own[:, 0]) + tie
    )  # [B, P]: of each target to the key's own prototype
    steep = (relation.diagonal() - base) * per_gap  # [B, P]: K of the target
    steepest = (relation[:, None] - base).mul_(per_gap.T[:, :, None]).amax(dim=0)  # [B, P]
    stuck = (steep <= 0).logical_or_(sin < tie ** (1 / 3))
    reach = torch.atan2(sin, steep.add_(cos)).masked_fill_(stuck, 0)
    limit = torch.atan2(sin, steepest.add_(cos))
    return Walks(own[:, 0], target, cos, sin, reach.gather(1, target), limit.gather(1, target))


def _targets(similarity: Tensor, own: Tensor, candidates: int | None) -> Tensor:
    """Return the prototypes a key may walk to. Shapes: similarity [B, P], own [B, 1] -> [B, C]."""
    others = similarity.size(1) - 1
    if candidates is not None and candidates < 1:
        raise UserError(f"candidates: must be at least 1, or None for all (got {candidates})")
    if candidates is None or candidates >= others:
        each = torch.arange(others, device=own.device)
        return each + (each >= own)  # [B, P - 1]
    return similarity.scatter(1, own, -torch.inf).topk(candidates, dim=1).indices


def place(
    walk: Walks, positives: int, hardness: float, generator: Generator | None = None
) -> Positives:
    """Draw the targets and how far to walk: uniform in ``[(1 - hardness) reach, reach]``.

    One uniform number a positive serves for both: the whole part picks the target among the
    candidates, what is left over the place.

    Args:
        walk: the walks.
        positives: G, positives of each key.
        hardness: 0 for the hardest positives only, 1 for the whole walk (the paper: 0.8).
        generator: where the numbers come from.

    Reference: Shah et al., CVPR 2023, Sec. 3.2.
    """
    drawn = draw((walk.own.size(0), positives), walk.cos, generator)  # [B, G]
    drawn *= walk.target.size(1)
    chosen = drawn.long()
    reach = walk.reach.gather(1, chosen)
    angle = torch.addcmul(reach, reach, drawn.frac_(), value=-hardness)
    return Positives(chosen, angle, angle.cos(), angle.sin())


def kept(
    name: str,
    walk: Walks,
    made: Positives,
    query: Tensor | None = None,
    along: Tensor | None = None,
) -> Tensor:
    """Return which positives the filter keeps, from inner products alone. Shapes: [B, G], boolean.

    Args:
        name: one of ``FILTERS``.
        walk: the walks.
        made: the positives on them.
        query: similarity of each query to its key; variant-1 needs it.
        along: similarity of each query to each prototype; variant-1 needs it.

    Shapes: query [B], along [B, P].
    """
    if name == "rank":
        return made.angle <= walk.limit.gather(1, made.walk)
    if name == "variant-1" and query is not None and along is not None:
        ahead = (along - walk.cos * query[:, None]) / walk.sin.clamp_min(1e-12)  # [B, P]
        ahead = ahead.gather(1, walk.target).gather(1, made.walk)  # [B, G]
        moved = made.cos * query[:, None] + made.sin * ahead
        return moved >= query[:, None]
    if name == "variant-2":
        return made.cos >= walk.cos.gather(1, walk.target).gather(1, made.walk)
    return torch.ones_like(made.walk, dtype=torch.bool)


def weights(walk: Walks, made: Positives, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return sums of each key's positives as weights of the key and of the prototypes.

    ``sum_g mask_g z(a_g) = own z + W P`` for each key and each of K masks.

    Args:
        walk: the walks.
        made: the positives on them.
        masks: 1 for positives that count, 0 for others.

    Shapes: masks [K, B, G] -> own [K, B, 1], W [K, B, P].
    """
    K, B, C = len(masks), *walk.target.shape
    ahead = walk.cos.new_zeros(K, B, C)
    ahead.scatter_add_(2, made.walk.expand_as(masks), made.sin * masks)
    W = walk.cos.new_zeros(K, *walk.cos.shape).scatter_(2, walk.target.expand(K, B, C), ahead)
    W /= walk.sin.clamp_min(torch.finfo(W.dtype).tiny)  # [K, B, P]
    own = (made.cos * masks).sum(2, keepdim=True) - (W * walk.cos).sum(2, keepdim=True)
    return own, W


@torch.no_grad()
def hallucinate(
    key: Tensor,
    prototypes: Tensor,
    positives: int = 100,
    hardness: float = 0.8,
    candidates: int | None = None,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positives themselves, for inspection and plots; training does without them.

    Args:
        key: unit vectors.
        prototypes: unit vectors, two at least.
        positives: G, positives of each key.
        hardness: 0 for the hardest positives only, 1 for the whole walk.
        candidates: how many of the nearest other prototypes are targets; all by default.
        generator: where the numbers come from.

    Returns:
        Points [B, G, D] (unit vectors), the prototype each walked towards [B, G], and the share of
        the way from key to prototype it went [B, G].

    Shapes: key [B, D], prototypes [P, D].

    Raises:
        UserError: fewer than two prototypes, or widths that differ.
    """
    if prototypes.size(0) < 2 or key.size(1) != prototypes.size(1):
        shapes = f"key {list(key.shape)}, prototypes {list(prototypes.shape)}"
        raise UserError(
            f"hallucinate: needs two or more prototypes, as wide as the keys - {shapes}"
        )
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T, candidates)
    made = place(walk, positives, hardness, generator)
    tiny = torch.finfo(key.dtype).tiny
    target = walk.target.gather(1, made.walk)  # [B, G]
    cos, sin = walk.cos.gather(1, target), walk.sin.gather(1, target)  # [B, G]
    ahead = made.sin / sin.clamp_min(tiny)  # [B, G]
    points = (made.cos - ahead * cos)[..., None] * key[:, None]  # [B, G, D]
    points = F.normalize(points + ahead[..., None] * prototypes[target], dim=-1)
    return points, target, made.angle / torch.atan2(sin, cos).clamp_min(tiny)


def rank_filter(points: Tensor, key: Tensor, prototypes: Tensor) -> Tensor:
    """Keep the points whose nearest prototype is the key's (the paper's filter).

    Shapes: points [B, G, D], key [B, D], prototypes [P, D] -> [B, G], boolean.

    Reference: Shah et al., CVPR 2023, Sec. 3.3.
    """
    return (points @ prototypes.T).argmax(-1) == (key @ prototypes.T).argmax(-1)[:, None]


def variant_1_filter(points: Tensor, key: Tensor, query: Tensor) -> Tensor:
    """Keep the points that are no farther from the query than the key is.

    Shapes: points [B, G, D], key [B, D], query [B, D] -> [B, G], boolean.

    Reference: Shah et al., CVPR 2023, supplement B.1, Table 2.
    """
    return (points * query[:, None]).sum(-1) >= (key * query).sum(-1)[:, None]


def variant_2_filter(points: Tensor, key: Tensor, prototypes: Tensor, target: Tensor) -> Tensor:
    """Keep the points that are no farther from the key than their target is.

    Shapes: points [B, G, D], key [B, D], prototypes [P, D], target [B, G] -> [B, G], boolean.

    Reference: Shah et al., CVPR 2023, supplement B.1, Table 2.
    """
    return (points * key[:, None]).sum(-1) >= (key @ prototypes.T).gather(1, target)

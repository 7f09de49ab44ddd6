"""What methods of contrast do with the neighbours in a bank: mine positives, compare opinions.

Every function takes unit rows. Banks of several streams move in lock-step: the key at a place is of
the same clip in all of them, so that neighbours found in one count in another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def nearest(query: Tensor, bank: Tensor, count: int = 1) -> Tensor:
    """Return where the ``count`` nearest keys of each query lie in the bank, nearest first.

    Fewer where the bank holds fewer.

    Shapes: query [B, D], bank [K, D] -> [B, min(count, K)].
    """
    return (query @ bank.t()).topk(min(count, len(bank)), dim=1).indices


def marked(places: Tensor, size: int) -> Tensor:
    """Return places in a bank as a mask. Shapes: places [B, n] -> bool [B, size]."""
    mask = torch.zeros(len(places), size, dtype=torch.bool, device=places.device)
    return mask.scatter_(1, places, True)


def opinions(query: Tensor, key: Tensor, bank: Tensor) -> Tensor:
    """Return the similarities of each query to its own key, in front, and to the bank.

    Shapes: query [B, D], key [B, D], bank [K, D] -> [B, 1 + K].
    """
    return torch.cat([(query * key).sum(1, keepdim=True), query @ bank.t()], dim=1)


def mined_nce(logits: Tensor, mined: Tensor) -> Tensor:
    """Return InfoNCE with mined positives beside each query's own key.

    ``-mean_i [ mean over i's positives of log softmax(logits_i) ]``, the positives being the own
    key (column 0) and the columns marked.

    Args:
        logits: ``opinions(...) / temperature``.
        mined: which of the bank's keys are positives too.

    Shapes: logits [B, 1 + K], mined [B, K] (bool) -> [].

    Reference: Guo et al., "AimCLR", AAAI 2022, eq. 9, https://arxiv.org/abs/2112.03590; Li et al.,
    "CrosSCLR", CVPR 2021, https://arxiv.org/abs/2104.14466
    """
    logs = F.log_softmax(logits, dim=1)
    extra = (logs[:, 1:] * mined).sum(1)  # [B]
    return -((logs[:, 0] + extra) / (1 + mined.sum(1))).mean()


def soft_cross_entropy(teacher: Tensor, student: Tensor) -> Tensor:
    """Return ``-mean_i sum_j softmax(teacher_i)_j log softmax(student_i)_j``.

    The teacher's opinion is taken as it is, without gradient.

    Shapes: teacher [B, n], student [B, n], both divided by their temperatures -> [].
    """
    target = teacher.detach().softmax(1)
    return -(target * F.log_softmax(student, dim=1)).sum(1).mean()


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Return ``mean_i KL(softmax(teacher_i) || softmax(student_i))``.

    As ``soft_cross_entropy``, less the teacher's own entropy: 0 where both agree.

    Shapes: teacher [B, n], student [B, n], both divided by their temperatures -> [].
    """
    target = F.log_softmax(teacher.detach(), dim=1)
    return F.kl_div(F.log_softmax(student, dim=1), target, reduction="batchmean", log_target=True)

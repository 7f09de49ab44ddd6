"""Joints multiplied by matrices: what most views of skeletons, and their placing, come down to."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from halpgraph import native
from halpgraph.native import address

_SOURCE = Path(__file__).with_name("_poses.c")


def linear(pose: Tensor, matrix: Tensor, hit: Tensor | None = None) -> Tensor:
    """Return ``p @ matrix`` for every joint, a matrix a body or one for each of its joints.

    Args:
        pose: what is multiplied.
        matrix: by what.
        hit: which joints; all of them without it.

    Shapes: pose [R, T, S, V], matrix [R, S, S] or [R, S, S, 1 or V], hit [R, V] -> [R, T, S, V].
    """
    bodies, frames, space, joints = pose.shape
    found = loops() if one_each(pose, bodies, space, matrix) else None
    if found is None:
        return by_arrays(pose, matrix, hit)
    pose, matrix = pose.contiguous(), matrix.contiguous()
    hit = None if hit is None else hit.expand(bodies, joints).contiguous()
    out, work = torch.empty_like(pose), pose.new_empty((space + 2) * space * joints)
    rows = [address(t) for t in (pose, matrix, hit, work, out)]
    found.linear(bodies, frames, space, joints, *rows)
    return out


def by_arrays(pose: Tensor, matrix: Tensor, hit: Tensor | None = None) -> Tensor:
    """Return the same as ``linear``, by tensor operations, on any device.

    What a plane gets from itself, from the next plane, and from the one after it, is added for all
    planes at once, so that little more is done than reading and writing.
    """
    space, joints = pose.shape[2:]
    matrix = matrix.flatten(1, 2)  # [R, S * S] or [R, S * S, V]
    matrix = matrix if matrix.dim() == 3 else matrix[..., None]
    matrix = matrix.index_select(1, _steps(space, pose.device))
    if hit is not None:
        matrix = torch.where(hit[:, None], matrix, _itself(space, pose.device))
    matrix = matrix.expand(-1, -1, joints)
    weights = matrix.reshape(-1, space, 1, space * joints).unbind(1)  # S of [R, 1, S * V]
    flat = pose.flatten(2)  # [R, T, S * V]
    out = flat * weights[0]
    for step in range(1, space):
        after, rest = step * joints, (space - step) * joints
        out[..., :rest].addcmul_(flat[..., after:], weights[step][..., :rest])
        out[..., rest:].addcmul_(flat[..., :after], weights[step][..., rest:])
    return out.view(pose.shape)


def one_each(numbers: Tensor, bodies: int, space: int, matrix: Tensor) -> bool:
    """Tell whether a loop in C can do it: one matrix a body, on a CPU, no gradients asked for."""
    return (
        numbers.device.type == "cpu"
        and numbers.dtype == matrix.dtype == torch.float32
        and space in (2, 3)
        and matrix.shape[1:3] == (space, space)
        and matrix.numel() == bodies * space**2 > 0
        and not (torch.is_grad_enabled() and (numbers.requires_grad or matrix.requires_grad))
    )


@functools.cache
def loops() -> ctypes.CDLL | None:
    """Return the compiled loops over poses, or None where they cannot be had."""
    found = native.load(_SOURCE)
    if found is not None:
        sizes = [ctypes.c_ssize_t] * 4
        found.linear.restype = found.cut.restype = None
        found.linear.argtypes = sizes + [ctypes.c_void_p] * 5
        found.cut.argtypes = sizes + [ctypes.c_void_p] * 7
    return found


@functools.lru_cache(maxsize=16)
def _steps(space: int, device: torch.device) -> Tensor:
    """Return where, in a matrix, is what each plane gets from itself, from the next, and so on."""
    plane = torch.arange(space)
    at = (plane[:, None] + plane) % space * space + plane  # [steps, planes]
    return at.view(-1).to(device)


@functools.lru_cache(maxsize=16)
def _itself(space: int, device: torch.device) -> Tensor:
    """Return the identity in the order of ``_steps``. Shapes: [1, S * S, 1]."""
    return torch.eye(space, device=device).view(1, -1, 1)[:, _steps(space, device)]

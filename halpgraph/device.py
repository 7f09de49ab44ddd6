"""Device, threads, precision and seeds: the one file that knows them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache

import torch

from halpgraph.errors import UserError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them


def pick_device(name: str) -> torch.device:
    """Return the device a recipe asks for; ``auto`` is a GPU where there is one.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"train.device: {name!r} is no device - use cpu, cuda or auto") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: cuda: PyTorch sees no GPU here - use cpu or auto")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"train.device: {name!r} is not supported - use cpu, cuda or auto")
    return device


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Use ``number`` threads for PyTorch and for the BLAS of NumPy, then go back.

    One thread is best for batches under about 50,000 nodes; more runs side by side gain more.
    """
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def keep_memory() -> None:
    """Let this process keep up to 256 MB of freed memory for the tensors to come.

    The C library of most Linux systems gives large blocks back to the system at once and gets
    them anew, page by page, at the next step: 5 to 10 % of an epoch of small graphs on a CPU,
    more of large ones. Nothing is done elsewhere, nor where the environment says otherwise.
    """
    set_by = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    if sys.platform != "linux" or any(name in os.environ for name in set_by):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, 256 << 20)
        set_option(_MMAP_THRESHOLD, 32 << 20)  # the most it takes


@contextlib.contextmanager
def no_denormals() -> Iterator[None]:
    """Take numbers nearer to zero than 1.2e-38 as zero, then go back.

    Processors are many times slower with them, and saturated scores, as InfoGraph's, make them by
    the million. Nothing is done where that is not supported.
    """
    before = bool(torch.full((1,), 1e-38).mul(0.1).item() == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's global generators inside the block and restore them after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the autocast context of a precision (``float32``: none)."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def generators(
    seed: int, device: torch.device, names: tuple[str, ...]
) -> dict[str, torch.Generator]:
    """Return one independent generator a purpose, so that one's draws never move another's.

    The order of graphs is drawn on the CPU; everything else on the device.
    """
    out = {}
    for i, name in enumerate(names):
        where = torch.device("cpu") if name == "order" else device
        out[name] = torch.Generator(where).manual_seed(seed * 1_000_003 + i)
    return out

"""Memory that tensors give back stays with the process; numbers next to nothing are nothing."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from halpgraph.device import no_denormals

COUNT = """
import resource, sys, torch
from halpgraph.device import keep_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_memory()

def work():
    a = torch.ones(1 << 22)  # 16 megabytes
    b, c, d = a + 1, a + 2, a + 3

for _ in range(12):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(15):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    out = subprocess.run(
        [sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True
    )
    return int(out.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="nothing else is asked of")
def test_pages_are_fetched_once() -> None:
    without = faults("not")
    if without < 20_000:
        pytest.skip("another allocator than glibc's, or told otherwise, or huge pages")
    assert faults("kept") < without / 4, "15 times 64 megabytes are 245,000 pages"


def denormal() -> float:
    """Return what a tenth of 1e-38 is here, forward and as a gradient."""
    x = torch.ones(1, requires_grad=True)
    (x * 1e-30 * 1e-10).backward()
    assert x.grad is not None
    assert (torch.full((1,), 1e-38) * 0.1).item() in (0, pytest.approx(1e-39, rel=1e-3))
    return float(x.grad)


def test_denormals_are_zero_inside_alone() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    assert 0 < denormal() < 1e-39
    with no_denormals():
        assert denormal() == 0
        with no_denormals():
            assert denormal() == 0
        assert denormal() == 0  # the inner one goes back to what it found
    assert 0 < denormal() < 1e-39

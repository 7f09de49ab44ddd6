"""Memory that tensors give back stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
for _ in range(40):
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
    if without < 50_000:
        pytest.skip("another allocator than glibc's, or told otherwise, or huge pages")
    assert faults("kept") < without / 4, "40 times 64 megabytes are 650,000 pages"

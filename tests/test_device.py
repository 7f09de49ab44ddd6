"""Memory that tensors give back stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from halpgraph.device import keep_memory
torch.set_num_threads(1)
kept = sys.argv[1] == "kept" and keep_memory()

def work():
    a = torch.ones(1 << 22)  # 16 megabytes
    b, c, d = a + 1, a + 2, a + 3

for _ in range(4):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[bool, int]:
    out = subprocess.run(
        [sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True
    )
    kept, count = map(int, out.stdout.split())
    return bool(kept), count


def test_pages_are_fetched_once() -> None:
    (kept, count), without = faults("kept"), faults("not")[1]
    if not kept or without < 1000:
        pytest.skip("another allocator than glibc's, or huge pages")
    assert count < without / 10, "20 times 64 megabytes are 300,000 pages"

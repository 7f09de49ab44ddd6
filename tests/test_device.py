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
    found = [torch.ones(1 << 18) for _ in range(8)]  # a megabyte each

for _ in range(4):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
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
    kept, count = faults("kept")
    if not kept:
        pytest.skip("not glibc: nothing can be asked of its allocator")
    assert count < 2048, "400 megabytes are 100,000 pages"

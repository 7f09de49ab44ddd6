"""Ctrl-C: the run is left whole, whatever moment it comes at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from halpgraph import runner
from halpgraph.commands import runs
from halpgraph.errors import RunError
from halpgraph.jobs import load_checkpoint
from halpgraph.rundir import RunDir

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")

# Interrupts `save` at moments drawn evenly over the time it takes; in a process of its own, as an
# interrupt at a wrong moment may abort it.
SAVES = """
import random, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
import torch
from halpgraph.jobs import save

path = Path(sys.argv[1])
state = {"weights": [torch.randn(64, 64) for _ in range(12)]}
trainer = SimpleNamespace(state=lambda: state)
signal.signal(signal.SIGALRM, signal.default_int_handler)
spent = []
for _ in range(6):
    start = time.perf_counter()
    save(trainer, path)
    spent.append(time.perf_counter() - start)
seconds, interrupted = min(spent), 0
for _ in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, seconds))
        try:
            save(trainer, path)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
    torch.load(path, weights_only=True)
print(interrupted)
"""


def test_a_checkpoint_interrupted_anywhere_is_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVES, str(tmp_path / "checkpoint.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    load_checkpoint(tmp_path / "checkpoint.pt")


def _hear_ctrl_c() -> None:
    """Undo that what a shell starts in the background is deaf to it, as the tests may be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path: Path, jobs: int) -> None:
    words = ["run", "graphcl_mutag", "--set", "train.epochs=4000", "--set", "floors=[]"]
    words += ["--set", "train.checkpoint_every=1", "--jobs", str(jobs), "--runs", str(tmp_path)]
    command = [sys.executable, "-m", "halpgraph.cli", *words]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
        preexec_fn=_hear_ctrl_c,
    )
    start = time.monotonic()
    while sum(p.stat().st_size for p in tmp_path.glob("*/MUTAG/*/*/metrics.jsonl")) < 2000:
        assert process.poll() is None
        assert time.monotonic() - start < 120
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1, errors
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    run_folder = next(tmp_path.iterdir())
    state = load_checkpoint(next(run_folder.glob("MUTAG/*/seed-0/checkpoint.pt")))
    assert state["epoch"] > 0
    with RunDir(run_folder).locked():  # the killed run holds nothing
        pass


def test_what_compiled_code_makes_of_ctrl_c_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("unexpected pos 162752 vs 162640")  # noqa: B904 - as torch does

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("unexpected pos 162752 vs 162640")

    monkeypatch.setattr(runner, "run", interrupted)
    with pytest.raises(RunError, match="the same command goes on"):
        runs.run("graphcl_mutag")
    monkeypatch.setattr(runner, "run", broken)
    with pytest.raises(RuntimeError, match="unexpected pos"):
        runs.run("graphcl_mutag")

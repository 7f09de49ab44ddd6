"""What a run ran on: versions, git state, machine, memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = (
    "halpgraph",
    "torch",
    "torch-geometric",
    "torch-scatter",
    "numpy",
    "scipy",
    "scikit-learn",
    "grakel",
    "ogb",
)


def command() -> str:
    """Return the command that started this process, as a shell takes it."""
    program = Path(sys.argv[0])
    ours = program.parent.name == "halpgraph" and program.name in ("cli.py", "__main__.py")
    if ours or program.stem == "halpgraph":
        return shlex.join(["halpgraph", *sys.argv[1:]])
    return shlex.join(["python", *filter(None, sys.argv)])


def versions() -> dict[str, str]:
    """Return the versions of the packages that a result depends on, where installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any]:
    """Return commit and dirtiness of the source checkout; nulls for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changed)}


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Return Python, platform, processor, cores."""
    return {
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "cores": available_cores(),
    }


def available_cores() -> int:
    """Return the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def peak_memory_mb() -> float:
    """Return the most memory this process has held so far, in MB (0 where not known)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)

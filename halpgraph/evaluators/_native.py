"""The vector machine's inner loop in C, compiled once where there is a compiler; never a condition.

LIBSVM spends most of a nested search in scalar loops, and no array library can express them. One
file of C, compiled for the machine it runs on, does the same algorithm several times faster.
Without a compiler (or with ``HALPGRAPH_NATIVE=0``) LIBSVM does the work, with the same answers.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halpgraph.contracts import FloatArray

SOURCE = Path(__file__).with_name("_smo.c")
_SAFE = (
    *("-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math"),
    *("-fno-signed-zeros", "-fassociative-math", "-ffinite-math-only"),
)
_FLAGS = (
    ("-march=native", "-mprefer-vector-width=512", "-funroll-loops", *_SAFE),
    ("-march=native", *_SAFE),
    ("-mcpu=native", *_SAFE),
    _SAFE,
)
_LIMIT = 100_000_000


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled loops, or None where they cannot be had."""
    if os.name != "posix" or os.environ.get("HALPGRAPH_NATIVE") == "0":
        return None
    try:
        return _declared(ctypes.CDLL(str(_compiled())))
    except (OSError, AttributeError, subprocess.SubprocessError):
        return None


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size, real = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_double
    found.smo.restype = size
    found.smo.argtypes = [size, pointer, pointer, pointer, real, real, size, *[pointer] * 4]
    return found


def _compiled() -> Path:
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise OSError("no compiler")
    key = "\n".join([SOURCE.read_text(encoding="utf-8"), compiler, str(_FLAGS), _machine()])
    name = f"smo-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    folder = _folder()
    if not (folder / name).is_file():
        _compile(compiler, folder / name)
    return folder / name


def _compile(compiler: str, target: Path) -> None:
    """Compile beside the target, then rename: another process may be doing the same."""
    handle, draft = tempfile.mkstemp(dir=target.parent, suffix=".so")
    os.close(handle)
    try:
        for flags in _FLAGS:
            command = [compiler, *flags, str(SOURCE), "-o", draft]
            if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
                os.replace(draft, target)
                return
        raise OSError("the compiler failed")
    finally:
        Path(draft).unlink(missing_ok=True)


def _folder() -> Path:
    """Return a folder of the user's own; a new one where the cache cannot be written."""
    own = os.environ.get("HALPGRAPH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = (Path(own).expanduser() if own else Path(base) / "halpgraph") / "native"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="halpgraph-"))


def _machine() -> str:
    """Return what tells processors apart, so that a shared home folder serves several."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    except OSError:
        flags = [platform.processor()]
    return f"{platform.machine()} {flags}"


def minimise(
    found: ctypes.CDLL,
    kernel: NDArray[np.float32],
    y: FloatArray,
    C: float,
    tol: float,
    b: FloatArray,
    g: FloatArray,
) -> float:
    """Solve one dual in place from ``b`` and ``g = Kb - y``; return the intercept.

    Shapes: kernel [n, n], y [n] of -1 and 1, b [n], g [n].
    """
    n, limit = len(y), _LIMIT
    diagonal, work, bounds = np.diagonal(kernel).copy(), np.empty(3 * n), np.empty(2)
    problem = [a.ctypes.data for a in (kernel, diagonal, y)]
    state = [a.ctypes.data for a in (b, g, work, bounds)]
    found.smo(n, *problem, C, tol, limit, *state)
    free = (b != 0) & (np.abs(b) < C)
    return -float(g[free].mean() if free.any() else bounds.mean())

"""Inner loops in C, compiled once where there is a compiler; never a condition.

A few loops are several times as fast as any array library can express them. Each is one short file
of C beside the module that uses it, compiled for the machine it runs on into the user's cache.
Without a compiler (or with ``HALPGRAPH_NATIVE=0``) array operations do the work, with the same
answers.
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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

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


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """Return the functions of a file of C, or None where they cannot be had."""
    if os.name != "posix" or os.environ.get("HALPGRAPH_NATIVE") == "0":
        return None
    try:
        return ctypes.CDLL(str(_compiled(source)))
    except (OSError, subprocess.SubprocessError):
        return None


def address(tensor: Tensor | None) -> int | None:
    """Return where a tensor's numbers lie, for C; NULL without one."""
    return None if tensor is None else tensor.data_ptr()


def _compiled(source: Path) -> Path:
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise OSError("no compiler")
    key = "\n".join([source.read_text(encoding="utf-8"), compiler, str(_FLAGS), _machine()])
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    target = _folder() / f"{source.stem.strip('_')}-{digest}.so"
    if not target.is_file():
        _compile(compiler, source, target)
    return target


def _compile(compiler: str, source: Path, target: Path) -> None:
    """Compile beside the target, then rename: another process may be doing the same."""
    handle, draft = tempfile.mkstemp(dir=target.parent, suffix=".so")
    os.close(handle)
    try:
        for flags in _FLAGS:
            command = [compiler, *flags, str(source), "-o", draft]
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

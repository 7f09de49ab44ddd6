"""Writing files so that what stands there is always whole: a temporary sibling, then a rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from halpgraph.errors import RunError, UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` that takes its place when the block ends well.

    Raises:
        RunError: the disk is full or read-only, or the folder closed; ``path`` is as before.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        open(temporary, "xb").close()
        yield temporary
        with open(temporary, "rb") as done:
            os.fsync(done.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"{path}: cannot be written: {reason}; nothing there was changed. "
            "Free some space or choose another folder, then run the same command again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_with(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a binary file whole or not at all."""
    with replacing(path) as temporary, open(temporary, "wb") as out:
        write(out)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_with(path, lambda out: out.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; NaN becomes null."""
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        UserError: missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged, not JSON: {error}; remove it and run again") from None


def plain(value: Any) -> Any:
    """Return content as JSON knows it: arrays as lists, keys as text, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not (abs(value) <= 1.7976931348623157e308):
        return None
    return value


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON-able content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

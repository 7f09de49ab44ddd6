"""NumPy's files, opened without pickles, and read row by row where they are large."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from halpgraph.data._files import DAMAGED
from halpgraph.errors import UserError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into a message that names it.

    Raises:
        UserError: missing, closed to us, truncated, damaged, or of Python objects.
    """
    try:
        yield
    except DAMAGED as error:
        raise UserError(
            f"{path}: truncated or damaged, or not a file of plain arrays ({error}); "
            "get a fresh copy"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def open_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file; nothing is read yet.

    Raises:
        UserError: it cannot be.
    """
    with reading(path):
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return found


class Npz:
    """A .npz file; members are read one at a time, large ones row by row.

    Raises:
        UserError: not a .npz file, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path), zipfile.ZipFile(path) as archive:
            members = archive.namelist()
        self.members = [name[:-4] for name in members if name.endswith(".npy")]

    def __contains__(self, member: str) -> bool:
        return member in self.members

    def shape(self, member: str) -> tuple[int, ...]:
        """Return a member's shape without reading it."""
        with self._opened(member) as stream:
            return _header(stream)[0]

    def array(self, member: str) -> NDArray[Any]:
        """Return a member, all of it."""
        with reading(self.path), np.load(self.path, allow_pickle=False) as found:
            array: NDArray[Any] = found[member]
            return array

    def rows(self, member: str) -> Iterator[NDArray[Any]]:
        """Yield a member row by row; no more than a row is in memory."""
        with self._opened(member) as stream:
            shape, fortran, dtype = _header(stream)
            size = math.prod(shape[1:]) * dtype.itemsize
            for _ in range(0 if fortran else shape[0]):
                content = stream.read(size)
                if len(content) != size:
                    raise ValueError(f"{member} ends too early")
                yield np.frombuffer(content, dtype).reshape(shape[1:])
            if not fortran and stream.read(1):  # also makes the archive check its checksum
                raise ValueError(f"{member} is longer than it says")
        if fortran:
            yield from self.array(member)

    @contextlib.contextmanager
    def _opened(self, member: str) -> Iterator[IO[bytes]]:
        with (
            reading(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{member}.npy") as stream,
        ):
            yield stream


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if not shape:
        raise ValueError("a single number where rows are expected")
    return shape, fortran and len(shape) > 1, dtype

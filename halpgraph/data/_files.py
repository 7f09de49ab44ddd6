"""The text files of a folder or a zip archive, read in place: nothing is ever unpacked to disk."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from halpgraph.errors import UserError

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


class Files:
    """Named files in a folder or an archive, wherever inside it they lie.

    Raises:
        UserError: not there, not an archive, damaged, or with paths that lead out of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members = _folder(path) if path.is_dir() else _archive(path)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        """Return the names of the files, without their folders."""
        return sorted(self._members)

    def where(self, name: str) -> str:
        """Return how messages call a file."""
        return f"{self.path}: {name}"

    def read(self, name: str) -> bytes:
        """Return a file's content; archives check it against their own checksum."""
        if name not in self._members:
            inside = ", ".join(self.names()[:8]) or "nothing"
            raise UserError(f"{self.path}: {name} is missing (found {inside})")
        try:
            if self.path.is_dir():
                return Path(self._members[name]).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self._members[name])
        except DAMAGED as error:
            raise _damaged(self.path, error) from None
        except OSError as error:
            raise UserError(f"{self.where(name)}: cannot be read ({error})") from None


def _folder(path: Path) -> dict[str, str]:
    try:
        return {entry.name: str(entry) for entry in path.iterdir() if entry.is_file()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _archive(path: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except DAMAGED as error:
        raise _damaged(path, error) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return {PurePosixPath(check_member(path, member)).name: member for member in members}


def check_member(path: Path, member: str) -> str:
    """Return a member's name if it stays inside the archive's folder.

    Raises:
        UserError: the name is absolute or climbs out with ``..``.
    """
    windows = PureWindowsPath(member)
    if windows.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise UserError(
            f"{path}: refused, the archive names a file outside its own folder ({member!r}); "
            "get a clean copy"
        )
    return member


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: truncated or damaged archive ({error}); delete it and get a fresh copy"
    )


def verify(files: Files, expected: Mapping[str, str]) -> None:
    """Compare files with the checksums of a card.

    Raises:
        UserError: a file is not the published one.
    """
    for name, checksum in expected.items():
        found = hashlib.sha256(files.read(name)).hexdigest()
        if found != checksum:
            raise UserError(
                f"{files.where(name)}: wrong checksum, not the published file "
                f"(sha256 {found}, the card says {checksum}); get a fresh copy, or give "
                "a version of your own another name"
            )

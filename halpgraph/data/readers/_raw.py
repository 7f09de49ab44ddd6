"""Raw files where they lie: in a folder and those below it, in a zip, or in zips in a folder."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path, PurePosixPath

from halpgraph.data._files import DAMAGED, check_member
from halpgraph.errors import UserError

INSIDE = "!/"  # archive.zip!/member


class Raw:
    """All files of a folder or archive with their sizes; nothing is unpacked.

    Args:
        path: the folder, or a zip.

    Raises:
        UserError: not there, or an archive that is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.sizes: dict[str, int] = {}
        self._open: tuple[str, zipfile.ZipFile] | None = None
        if self.path.is_dir():
            self._walk()
        elif self.path.is_file():
            self._list(self.path.name)
        else:
            raise UserError(f"{self.path}: no such folder or zip")

    def named(self, pattern: re.Pattern[str]) -> dict[str, str]:
        """Return where each file lies whose bare name fits, sorted by name; plain files first."""
        found: dict[str, str] = {}
        for member in sorted(self.sizes, key=lambda m: (INSIDE in m, m)):
            name = PurePosixPath(member).name
            if pattern.fullmatch(name):
                found.setdefault(name, member)
        return dict(sorted(found.items()))

    def where(self, member: str) -> str:
        """Return how messages call a file."""
        return f"{self.path}: {member.rsplit(INSIDE, 1)[-1]}"

    def read(self, member: str) -> bytes:
        """Return the content of a file; archives check it against their own checksum.

        Raises:
            UserError: it cannot be read.
        """
        try:
            if INSIDE not in member:
                return (self.path / member).read_bytes()
            archive, name = member.split(INSIDE, 1)
            return self._archive(archive).read(name)
        except (*DAMAGED, OSError, KeyError) as error:
            raise UserError(f"{self.where(member)}: cannot be read ({error})") from None

    def _walk(self) -> None:
        for folder, below, files in os.walk(self.path):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(files):
                full = Path(folder, name)
                member = full.relative_to(self.path).as_posix()
                if name.lower().endswith(".zip") and Path(folder) == self.path:
                    self._list(member)
                elif full.is_file():
                    self.sizes[member] = full.stat().st_size

    def _list(self, archive: str) -> None:
        try:
            infos = self._archive(archive).infolist()
        except (*DAMAGED, OSError) as error:
            raise UserError(
                f"{self._at(archive)}: truncated or damaged archive ({error}); get a fresh copy"
            ) from None
        for info in infos:
            if not info.is_dir() and not info.filename.startswith("__MACOSX"):
                name = check_member(self._at(archive), info.filename)
                self.sizes[f"{archive}{INSIDE}{name}"] = info.file_size

    def _at(self, archive: str) -> Path:
        return self.path / archive if self.path.is_dir() else self.path

    def _archive(self, archive: str) -> zipfile.ZipFile:
        if self._open is None or self._open[0] != archive:
            self.close()
            self._open = (archive, zipfile.ZipFile(self._at(archive)))
        return self._open[1]

    def close(self) -> None:
        """Close the archive that is open, if one is."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

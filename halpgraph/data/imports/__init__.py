"""Poses from elsewhere: one file a format, all of them through the same checks."""

from halpgraph.data.imports.importing import FORMATS, import_poses

__all__ = ["FORMATS", "import_poses"]

"""Prepared sets for other programs: one file a format."""

from halpgraph.data.exports.exporting import FORMATS, export

__all__ = ["FORMATS", "export"]

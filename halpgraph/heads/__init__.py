"""Heads: contrasts to more loss terms."""

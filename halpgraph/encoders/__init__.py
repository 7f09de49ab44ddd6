"""Encoders: batches to features."""

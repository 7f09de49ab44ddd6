"""Evaluators: embeddings to scores."""

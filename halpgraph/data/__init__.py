"""Data sets: cards, sources, readers, node features, and the store they end in."""

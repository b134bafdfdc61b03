"""Data: sources, splits, sample order, loaders."""

"""Frozen features: computed once, kept on disk, verified when they are read."""

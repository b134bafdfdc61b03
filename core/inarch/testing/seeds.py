"""The global generators of python, numpy and torch, seeded together, as the core does for each example."""

import random

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed all of them."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

"""One process of a group: a training whose third step is taken for one that is not finite."""

import json
import sys
from contextlib import suppress
from itertools import count

import torch

import inarch
from inarch.training import step, stepper

recipe, out, changes = sys.argv[1:]
for module in (step, stepper):  # before weights change, and after
    steps = count(1)
    module.is_finite = lambda *_, steps=steps: torch.tensor(next(steps) != 3)
with suppress(inarch.RunError):
    inarch.train(recipe, json.loads(changes), out=out)

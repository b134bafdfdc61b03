"""One process of a group: a probe, and what its head is in this process when the run is over."""

import os
import sys
from pathlib import Path

import inarch
from inarch.training import loop
from inarch.weights import fingerprint

recipe, out = sys.argv[1:]
fit = loop.fit_on_features
heads = []


def noted(job, *rest):
    found = fit(job, *rest)
    heads.append(fingerprint(job.model.head.state_dict()))
    return found


loop.fit_on_features = noted
inarch.train(recipe, {"strategy": "linear_probe", "train.tracker": "none"}, out=out)
Path(out, f"rank-{os.environ.get('RANK', '0')}.txt").write_text(heads[0])

"""All faults."""

from mutants import backbones, datasets, heads, imports, metrics, strategies

FAULTS = [*imports.FAULTS, *backbones.FAULTS, *heads.FAULTS, *datasets.FAULTS, *metrics.FAULTS, *strategies.FAULTS]

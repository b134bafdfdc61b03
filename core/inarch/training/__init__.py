"""Training: the loop, the state of a run, optimization, and what the hardware needs."""

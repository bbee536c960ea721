"""Measurements: one scenario a file, one run, one machine, each number beside its goal and its peer."""

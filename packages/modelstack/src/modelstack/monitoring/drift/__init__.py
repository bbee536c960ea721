"""Drift: whether requests still look like the training data."""

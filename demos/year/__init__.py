"""A year of the model's events within an hour: what is detected, what is retrained, and what that gains."""

from demos import ROOT

WRITTEN = ROOT / ".modelstack" / "year"
"""Where its page and its facts lie."""

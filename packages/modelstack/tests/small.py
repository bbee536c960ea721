"""A model that is trained in seconds, where its quality is not looked at."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {"max_iter": 5, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}
"""Parameters of the default model: few trees on two weeks of flights. All rooms take these: it is trained once."""

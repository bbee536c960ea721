"""Structured log lines: one JSON object a line on standard output."""

from __future__ import annotations

import json
import sys


def log(message: str, **fields: object) -> None:
    """Write one line.

    Args:
        message: What happened.
        fields: Values that JSON can hold; others are written as text.
    """
    sys.stdout.write(json.dumps({"message": message, **fields}, default=str) + "\n")

"""Structured log lines: one JSON object a line on standard output."""

from __future__ import annotations

import json
import sys


def log(message: str, **fields: object) -> None:
    """Write one line; fields that JSON cannot hold are written as text."""
    sys.stdout.write(json.dumps({"message": message, **fields}, default=str) + "\n")

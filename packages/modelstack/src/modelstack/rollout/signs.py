"""Removes control characters that a terminal acts on from external text."""

from __future__ import annotations

import re

ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters except tab and newline, and those that change the direction of text."""


def clean(text: str) -> str:
    """The text with the replacement character in place of each control character."""
    return ACTS.sub("\N{REPLACEMENT CHARACTER}", text)

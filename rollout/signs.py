"""Signs on which a terminal acts: a text from outside has none of them where it is kept, or shown to a person."""

from __future__ import annotations

import re

ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control signs but tabs and line ends, and those that turn the direction of a text."""


def clean(text: str) -> str:
    """A text in which each such sign is shown as the one that stands for what cannot be shown."""
    return ACTS.sub("\N{REPLACEMENT CHARACTER}", text)

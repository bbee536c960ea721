"""Formats of user-supplied texts: pattern, description, and the message for a wrong value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST = 80
"""Maximum characters of a wrong value in a message."""


@dataclass(frozen=True)
class Form:
    """A format: the pattern of the whole text, and its description."""

    pattern: str
    words: str

    def fits(self, text: object) -> bool:
        """Whether a value is a text of this form."""
        return isinstance(text, str) and re.fullmatch(self.pattern, text) is not None


IMAGE = Form(
    r"[^\s/@]+/[^\s@]+(@sha256:[0-9a-f]{64}|:[\w.-]+)",
    "registry/repository@sha256:<64 hexadecimal digits> or registry/repository:<tag>",
)
DIGEST = Form("sha256:[0-9a-f]{64}", "sha256:<64 hexadecimal digits>")
RECIPE = Form("[0-9a-f]{64}", "64 hexadecimal digits")


def not_allowed(name: str, value: object, expected: str) -> str:
    """The message that a value is not allowed, with long values shortened."""
    shown = repr(value)
    cut = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return f"{name}: {cut} is not allowed: expected {expected}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as indented lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (map(str.ljust, row, widths) for row in rows)
    return [f"  {'  '.join(cells)}".rstrip() for cells in padded]


def one_of(name: str, known: Iterable[str]) -> str:
    """The known names, and the one that may have been meant."""
    known = list(known)
    return ", ".join(known) + meant(name, known)


def meant(name: str, known: Iterable[str]) -> str:
    """A suggestion of a known name, to append to a sentence; empty if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""

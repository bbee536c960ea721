r"""How does a regular expression of an AWS service model read in Python?

The models are written for Java: `\p{L}` and its like name Unicode categories, `\z` is the end, and a few patterns
repeat an anchor (`${1,128}`), which Java allows and Python does not.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import defaultdict
from functools import cache

_POSIX = {
    "ASCII": r"\x00-\x7f",
    "Print": r"\x20-\x7e",
    "Graph": r"\x21-\x7e",
    "Alnum": "0-9A-Za-z",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
    "Punct": r"!-/:-@\[-`{-~",
    "Space": r"\x09-\x0d\x20",
    "XDigit": "0-9A-Fa-f",
}
_REPEATED_ANCHOR = re.compile(r"\$\{\d+(?:,\d*)?\}")
_SURROGATES = re.compile(r"\\u([dD][89abAB]\w\w)\\u([dD][c-fC-F]\w\w)")
_PROPERTY = re.compile(r"\\([pP])(?:\{(?:Is)?(\w+)\}|([A-Z]))")


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern of a service model; match it with `fullmatch`, as AWS does.

    Args:
        pattern: As written in the model, for example `[\p{L}\p{N}_.:/=+\-@]*`.

    Returns:
        The compiled pattern.

    Raises:
        ValueError: The pattern holds a construct that has no translation here.
    """
    try:
        # Java's \w, \d and \s are ASCII unless told otherwise.
        return re.compile(_translate(pattern), re.ASCII)
    except (re.error, KeyError) as error:
        raise ValueError(f"pattern {pattern!r} of the service model cannot be read: {error}") from error


def _translate(pattern: str) -> str:
    parts: list[str] = []
    position, in_class = 0, False
    while position < len(pattern):
        found = _PROPERTY.match(pattern, position)
        if found:
            parts.append(_property(found, in_class))
            position = found.end()
            continue
        char = pattern[position]
        if char == "\\":
            text, length = _escape(pattern, position, in_class)
            parts.append(text)
            position += length
            continue
        anchor = None if in_class else _REPEATED_ANCHOR.match(pattern, position)
        if anchor:
            parts.append("$")
            position = anchor.end()
            continue
        if char == "[" and in_class:
            char = r"\["
        elif char in "[]":
            in_class = char == "["
        parts.append(char)
        position += 1
    return "".join(parts)


def _escape(pattern: str, position: int, in_class: bool) -> tuple[str, int]:
    """Translate the escape at a position; answers the text and how many characters of the pattern it took."""
    pair = _SURROGATES.match(pattern, position)
    if pair:
        high, low = int(pair[1], 16), int(pair[2], 16)
        return rf"\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}", len(pair[0])
    escape = pattern[position : position + 2]
    if in_class and escape[1:] in {"w", "d", "s"} and pattern[position + 2 : position + 3] == "-":
        return escape + r"\-", 3  # Java takes the hyphen in [\w-_] as itself
    return (r"\Z" if escape == r"\z" else escape), 2


def _property(found: re.Match[str], in_class: bool) -> str:
    name = found[2] or found[3]
    ranges = _POSIX.get(name) or _category(name)
    if found[1] == "P":
        if in_class:
            raise re.error(f"\\P{{{name}}} inside a class")
        return f"[^{ranges}]"
    return ranges if in_class else f"[{ranges}]"


def _category(name: str) -> str:
    ranges = _category_ranges()
    found = [span for category, spans in ranges.items() if category.startswith(name) for span in spans]
    if not found:
        raise KeyError(f"Unicode category {name}")
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in found)


@cache
def _category_ranges() -> dict[str, list[tuple[int, int]]]:
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    first, current = 0, unicodedata.category("\0")
    for code in range(1, sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category != current:
            ranges[current].append((first, code - 1))
            first, current = code, category
    ranges[current].append((first, sys.maxunicode))
    return dict(ranges)

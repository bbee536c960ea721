"""Escapes and formats Markdown for comments on GitHub and GitLab: foreign text cannot break out of it.

Too long text is cut, with a note. GitHub renders no inline SVG, so bars are made of block characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BYTES = 60_000  # GitHub's limit is 65,536 characters
LONGEST = 160  # maximum characters of a value
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$^])")
_CALLS = re.compile(r"@(?=\S)|#(?=\d)|:(?=//|[\w+-]+:)|\b(https?|www|GH)(?=[:.-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_JOINER = "\u2060"
_BLOCKS = "▏▎▍▌▋▊▉█"


def plain(value: object, most: int = LONGEST) -> str:
    """One line without control characters, cut to a length."""
    line = _CONTROL.sub(" ", str(value)).strip()
    return line if len(line) <= most else f"{line[: most - 1]}…"


def text(value: object, most: int = LONGEST) -> str:
    """Text as it is written: no element, no table cell, no mention."""
    safe = _SPECIAL.sub(r"\\\1", plain(value, most).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return _CALLS.sub(lambda found: found[0] + _JOINER, safe)


def code(value: object, most: int = LONGEST) -> str:
    """Text as code; characters that would end it, or a table cell, are replaced by similar ones."""
    line = plain(value, most).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else "-"


def fenced(value: str, most_lines: int = 30) -> list[str]:
    """Lines in a block that they cannot end."""
    lines = [plain(line, 400) if line.strip() else "" for line in value.strip("\n").splitlines()]
    shown = lines if len(lines) <= most_lines else [*lines[:most_lines], f"… and {len(lines) - most_lines} lines more"]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *shown, fence]


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), most: int = 40
) -> list[str]:
    """A table with cells in Markdown; `right` has the numbers of right-aligned columns, `most` limits the rows."""
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    lines = [f"| {' | '.join(line)} |" for line in (head, rule, *rows[:most])]
    return lines if len(rows) <= most else [*lines, "", f"… and {len(rows) - most:,} rows more."]


def bar(share: float, width: int = 10) -> str:
    """A share of 0 to 1 as a bar of block characters."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, part = divmod(eighths, 8)
    return "█" * whole + (_BLOCKS[part - 1] if part else "") or "▏"


def sided(value: float, most: float, width: int = 6) -> str:
    """A number as a bar to the left or right of a middle line; `most` fills one side."""
    share = round(min(abs(value) / most, 1.0) * width) if most else 0
    left, right = ("█" * share, "") if value < 0 else ("", "█" * share)
    return f"`{left.rjust(width)}│{right.ljust(width)}`".replace(" ", "·")


@dataclass(frozen=True)
class Section:
    """A part of the comment; `folded` has a summary and lines for each collapsed part."""

    title: str
    lines: Sequence[str]
    folded: Sequence[tuple[str, Sequence[str]]] = ()


def document(top: Sequence[str], sections: Sequence[Section], most: int = MOST_BYTES) -> str:
    """The comment of at most `most` bytes: collapsed parts are cut first, from the end, then lines; never `top`."""
    kept = [list(section.folded) for section in sections]
    while True:
        page = _written(top, sections, kept)
        if len(page.encode()) <= most:
            return page
        last = next((place for place in reversed(range(len(kept))) if kept[place]), None)
        if last is None:
            break
        kept[last].pop()
    lines = [line for section in sections for line in (f"### {section.title}", "", *section.lines, "")]
    end = "\n… the rest is too long for a comment.\n"
    page, fence = "\n".join(top), ""
    for line in lines:
        if len(f"{page}\n{line}\n{fence}{end}".encode()) > most:
            break
        page += "\n" + line
        if fence:
            fence = "" if line == fence else fence
        elif opened := re.match("`{3,}", line):
            fence = opened[0]
    return f"{page}\n{fence}{end}" if fence else page + end


def _written(
    top: Sequence[str], sections: Sequence[Section], kept: Sequence[Sequence[tuple[str, Sequence[str]]]]
) -> str:
    lines = [*top, ""]
    for section, folded in zip(sections, kept, strict=True):
        lines += [f"### {section.title}", "", *section.lines, ""]
        for words, inside in folded:
            lines += [f"<details><summary>{words}</summary>", "", *inside, "", "</details>", ""]
        if len(folded) < len(section.folded):
            lines += ["… more is too long for a comment.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"

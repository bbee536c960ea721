"""What the engines made of one recipe, side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping

PACKAGE = "package"
"""The row with the digest of the package itself, beside those of what steps have left."""
_DIGITS = 19


def table(found: Mapping[str, Mapping[str, str]]) -> str:
    """Engine -> step -> digest, `sha256:<hex>`, as a table with an engine a column."""
    steps = list(dict.fromkeys(step for digests in found.values() for step in digests))
    rows = [("step", *found)]
    rows += [(step, *(digests.get(step, "-")[:_DIGITS] for digests in found.values())) for step in steps]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def agreed(found: Mapping[str, Mapping[str, str]]) -> int:
    """How many engines made the package that most of them made."""
    packages = [digests[PACKAGE] for digests in found.values()]
    return max((packages.count(one) for one in packages), default=0)


def other(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The steps whose outcomes are not the same of all engines."""
    steps = dict.fromkeys(step for digests in found.values() for step in digests)
    return [step for step in steps if len({digests.get(step) for digests in found.values()}) > 1]

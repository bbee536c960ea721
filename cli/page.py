"""What a command prints its result on."""

from __future__ import annotations

import os

from rich.console import Console

_WIDE = 4000


def page() -> Console:
    """Standard output. Off a terminal no line is wrapped, so that a phrase can be searched for; `COLUMNS` counts."""
    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _WIDE
    return console

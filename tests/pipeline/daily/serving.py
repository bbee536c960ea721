"""It is never served."""

from __future__ import annotations

from pathlib import Path


def main(folder: Path, host: str, port: int) -> None:
    """Serve."""
    raise NotImplementedError

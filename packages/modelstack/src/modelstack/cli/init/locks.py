"""The locks of a new project: blocks of `locks.txt`, each under a comment with the locks that have it.

One file holds them all, since most packages are in several locks, always in the same version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

FILE = Path(__file__).with_name("locks.txt")
_BLOCK = re.compile(r"^# ([a-z ]+)\n((?:[^#\n].*\n)+)", re.MULTILINE)
_HEAD = "# Locked packages: names, versions and hashes. `python -m localcloud.setup lock` writes this file.\n"


def lock(name: str) -> bytes:
    """The text of a lock: `aws` and `kubernetes` are the `app.txt` of a project on this platform."""
    blocks = [text for names, text in _BLOCK.findall(FILE.read_text()) if name in names.split()]
    return (_HEAD + "".join(blocks)).encode()


def merged(locks: Mapping[str, Iterable[str]]) -> str:
    """The text of `locks.txt`, from the blocks of each lock; a package has the same block in each."""
    names: dict[str, list[str]] = {}
    for name, blocks in locks.items():
        for block in blocks:
            names.setdefault(block, []).append(name)
    return "".join(f"# {' '.join(found)}\n{block}" for block, found in sorted(names.items()))


def blocks(text: str) -> list[str]:
    """The requirements of a lock, each with its hashes."""
    plain = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    return re.findall(r"^\S.*\n(?:[ \t].*\n)*", plain, re.MULTILINE)

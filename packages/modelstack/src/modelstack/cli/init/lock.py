"""`python -m modelstack.cli.init.lock`: writes `locks.txt`, from the groups of the pyproject.toml of new projects.

The versions are those of the locks in this repository. It needs wheels of its two packages, in UV_FIND_LINKS.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup import Installer, Places, lock
from modelstack.cli.init import locks
from modelstack.cli.init.project import PLATFORMS, Project, write


def main() -> None:
    """Lock a project of each platform, and keep each package once."""
    found: dict[str, list[str]] = {}
    with TemporaryDirectory(prefix="modelstack-lock-") as name:
        for platform in PLATFORMS:
            root = Path(name, platform)
            write(root, {"pyproject.toml": Project("locked", platform).files()["pyproject.toml"]})
            places = replace(Places.of(root), cache=Places.of(Path()).cache)
            lock(places, Installer(places), ("-c", Path("requirements/dev.txt").resolve()))
            found[platform] = locks.blocks(places.lock("app").read_text())
            found["serving"] = locks.blocks(places.lock("serving").read_text())
    locks.FILE.write_text(locks.merged(found))


if __name__ == "__main__":
    sys.exit(main())

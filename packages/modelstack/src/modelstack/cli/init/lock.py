"""`python -m modelstack.cli.init.lock`, in this repository: writes `locks.txt`, the locks of new projects.

They are of the groups in the pyproject.toml of a new project, in the versions of this repository's own locks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup import Installer, Places, lock
from modelstack.cli.init import locks
from modelstack.cli.init.project import PLATFORMS, Project, write


def main() -> None:
    """Lock a project of each platform, and store each package once."""
    ours, found = Places.of(Path()), dict[str, list[str]]()
    with TemporaryDirectory(prefix="modelstack-lock-") as name:
        for package in ours.members:  # no registry has them in the present version
            command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", f"{name}/wheels"]
            subprocess.run(command, cwd=package, check=True, stdout=subprocess.DEVNULL)
        os.environ["UV_FIND_LINKS"] = f"{name}/wheels"
        for platform in PLATFORMS:
            root = Path(name, platform)
            write(root, {"pyproject.toml": Project("locked", platform).files()["pyproject.toml"]})
            places = replace(Places.of(root), cache=ours.cache)
            lock(places, Installer(places), ("-c", ours.lock("dev")))
            found[platform] = locks.blocks(places.lock("app").read_text())
            found["serving"] = locks.blocks(places.lock("serving").read_text())
    locks.FILE.write_text(locks.merged(found))


if __name__ == "__main__":
    main()

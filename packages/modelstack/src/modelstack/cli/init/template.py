"""`python -m modelstack.cli.init.template FOLDER [PLATFORM]`: writes the template that `pulumi new FOLDER` takes.

It is a new project with `${PROJECT}` and `${DESCRIPTION}` in place of its name and description. Pushed to a git
repository, `pulumi new URL` takes it from there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from modelstack.cli.init.project import PLATFORMS, Project, add_example, write

_SECTION = b"template:\n  description: A machine-learning model in production, with canaries, alarms and rollbacks\n"


def main(folder: Path, platform: str = PLATFORMS[0]) -> None:
    """Write the template of a platform into a folder, over what is there."""
    files = Project("${PROJECT}", platform, "${DESCRIPTION}").files()
    write(folder, {**files, "Pulumi.yaml": files["Pulumi.yaml"] + _SECTION})
    add_example(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])

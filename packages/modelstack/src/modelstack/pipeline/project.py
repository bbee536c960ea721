"""The two folders that everything is found from: the team's project, and the sources of this library.

The project holds `Pulumi.yaml`, `model/`, `requirements/` and `stacks/`. The library never looks for it where its own
sources are.
"""

from __future__ import annotations

from pathlib import Path

FILE = "Pulumi.yaml"
SOURCES = Path(__file__).resolve().parents[2]
"""On `PYTHONPATH`, it lets a process import this library."""


class NoProject(Exception):
    """Neither a folder nor one above it is a project; the message says so."""


def project_root(start: Path | None = None) -> Path:
    """The project of a folder, by default of the current one: the nearest with `Pulumi.yaml`; raises NoProject."""
    folder = (start or Path.cwd()).resolve()
    for place in (folder, *folder.parents):
        if (place / FILE).is_file():
            return place
    raise NoProject(f"{folder} is not in a project: neither it nor a folder above it has a {FILE}")


def has_makefile() -> bool:
    """Whether the current folder is in a project with targets of `make`, as this library's own repository has them."""
    try:
        return (project_root() / "Makefile").is_file()
    except NoProject:
        return False


def cloud_commands() -> tuple[str, str]:
    """What a person types to start the local cloud, and to point a shell at it."""
    if has_makefile():
        return "make up", 'eval "$(make -s env)"'
    return "localcloud start", 'eval "$(localcloud env)"'

"""`modelstack new`: a project of a team, in a folder of its own, which only appears when it is complete."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from modelstack.cli.errors import WRONG_USE, OperatorError
from modelstack.cli.init import locks
from modelstack.cli.init.rendering import render

PLATFORMS = ("aws", "kubernetes")
LOCKS = ("app", "serving")
PULUMI = "3.274.1"
"""The Pulumi CLI that the workflows install."""
EXAMPLE_GATES: Mapping[str, str] = {"accuracy": "{min: 0.9}", "log_loss": "{max: 0.3}"}
_NAME = (
    r"[a-z](?:[a-z0-9-]{0,22}[a-z0-9])?"  # with a hyphen and the name of a stack it is part of every name in the cloud
)
_MAY_BE_THERE = {".git", ".venv"}


@dataclass(frozen=True)
class Project:
    """What distinguishes a project from all others."""

    name: str
    platform: str = PLATFORMS[0]
    description: str = "A model that goes into production by `pulumi up`, with modelstack."
    libraries: tuple[str, ...] = ()
    """Packages that its model imports, beside those of the library."""
    root: bool = False
    """Whether it is the repository of the library itself, which installs the library from its sources."""

    def files(self, gates: Mapping[str, str] = EXAMPLE_GATES) -> dict[str, bytes]:
        """Path -> content of each file but those of the model; `gates` has the bounds of each metric, as YAML."""
        values = {
            "name": self.name,
            "platform": self.platform,
            "description": self.description,
            "gates": f"{{{', '.join(f'{metric}: {gate}' for metric, gate in gates.items())}}}",
            "version": version("pulumi-modelstack"),
            "pulumi": PULUMI,
            "libraries": self.libraries,
            "root": self.root,
            "update": ".ci/release update" if self.root else "pulumi up --yes --non-interactive --stack",
            "promote": ".ci/release promote" if self.root else "modelstack promote --yes",
        }
        locked = {"app": self.platform, "serving": "serving"}
        return {
            **render("project", values),
            **{f"requirements/{file}.txt": locks.lock(name) for file, name in locked.items()},
        }


def check(name: str, folder: Path) -> None:
    """Refuse a name that no project may have, and a folder that has files; nothing is changed."""
    if not re.fullmatch(_NAME, name):
        raise OperatorError(
            f"NAME: found {name!r}; expected 1 to 24 lower-case letters, digits and hyphens, a letter first and no "
            "hyphen last",
            None,
            WRONG_USE,
        )
    if folder.exists() and not folder.is_dir():
        raise OperatorError(f"--dir: found the file {folder}; expected a new or an empty folder", None, WRONG_USE)
    found = sorted(one.name for one in folder.iterdir() if one.name not in _MAY_BE_THERE) if folder.is_dir() else []
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise OperatorError(
            f"--dir: found {folder} with {found[0]}{more}; expected a new folder, or one that has nothing but "
            f"{' and '.join(sorted(_MAY_BE_THERE))}",
            None,
            WRONG_USE,
        )


def create(project: Project, folder: Path, add_model: Callable[[Path], Mapping[str, str]]) -> list[str]:
    """Write a project into a folder that `check` accepts, and list its files; a failure leaves nothing.

    `add_model` writes the model into a complete project, and returns the gates that a model as good as it passes.
    """
    check(project.name, folder)
    folder = folder.absolute()  # the build of a model links to what is in it
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{project.name}-", dir=folder.parent) as name:
        made = Path(name, "project")
        made.mkdir()
        write(made, project.files())
        gates = add_model(made)
        write(made, {name: text for name, text in project.files(gates).items() if name.startswith("stacks/")})
        files = sorted(one.relative_to(made).as_posix() for one in made.rglob("*") if one.is_file())
        _move(made, folder)
    return files


def add_example(folder: Path) -> Mapping[str, str]:
    """Write the example model into a project."""
    write(folder / "model", render("example", {}))
    return EXAMPLE_GATES


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files, and the folders that they are in; returns `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _move(made: Path, folder: Path) -> None:
    """Move what is in one folder into another one; after a failure the other one is as it was."""
    new = not folder.exists()
    folder.mkdir(exist_ok=True)
    moved: list[Path] = []
    try:
        for one in sorted(made.iterdir()):
            moved.append(folder / one.name)
            one.rename(folder / one.name)
    except BaseException:
        for one in moved:
            shutil.rmtree(one, ignore_errors=True) if one.is_dir() else one.unlink(missing_ok=True)
        if new:
            folder.rmdir()
        raise

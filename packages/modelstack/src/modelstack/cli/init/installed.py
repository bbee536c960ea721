"""Locks of a new project in the versions that are installed here: its model is fitted with them, and so was what it is
made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from modelstack.cli.errors import OperatorError
from modelstack.cli.init.project import LOCKS, Project, write
from modelstack.pipeline.inputs import differences
from modelstack.pipeline.locks import imported, locked, package_of
from modelstack.pipeline.recipe import model_files

OTHERWISE = (
    "Or use the versions of the project's locks: write the project without --from, set it up, empty model/, and run "
    "`modelstack model init` there."
)


def fit(project: Project, root: Path, model: Path, say: Callable[[str], None]) -> None:
    """Lock a new project again if the model in the folder `model` cannot be built with its locks here.

    The packages that the model imports, and that the project does not name, are added to its group `app`. `model` has
    the project's folder `requirements`.
    """
    added = tuple(sorted(set(_unlocked(model))))
    if added or any(one.found for one in differences(model)):
        before = _versions(root)
        _lock(replace(project, libraries=added), root)
        changed = [f"{name} {version}" for name, version in _versions(root).items() if before.get(name) != version]
        say(f"requirements/: locked in the versions that are installed here: {', '.join(changed)}")
    if absent := [f"{one.name}=={one.locked}" for one in differences(model)]:
        raise OperatorError(f"the build needs {', '.join(absent)}", f"Type: pip install {' '.join(absent)}")


def _versions(root: Path) -> dict[str, str]:
    return {name: version for lock in LOCKS for name, version in locked(root / "requirements" / f"{lock}.txt").items()}


def _unlocked(root: Path) -> Iterator[str]:
    """The installed packages that the model imports and that no lock has."""
    held = locked(root / "requirements" / "app.txt")
    for module in imported(model_files(root)):
        if package_of(module, held) is None:
            yield from (name.lower() for name in metadata.packages_distributions().get(module, [])[:1])


def _lock(project: Project, root: Path) -> None:
    """Lock in a folder that is deleted afterwards, because locking leaves a log."""
    try:
        from localcloud.setup import Installer, Places, SetupFailed, lock  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise OperatorError(
            "the project must be locked in the versions that are installed here, and localcloud-ml is not installed",
            'Type: pip install "pulumi-modelstack[local]"',
        ) from error
    changed = {"pyproject.toml": project.files()["pyproject.toml"]}
    with TemporaryDirectory(prefix="modelstack-lock-") as name:
        places = Places.of(write(Path(name), changed))
        for one in LOCKS:
            write(places.root, {f"requirements/{one}.txt": (root / "requirements" / f"{one}.txt").read_bytes()})
        here = places.root / "installed.txt"
        here.write_text("".join(f"{package}=={version}\n" for package, version in _installed().items()))
        try:
            lock(places, Installer(places), ("-c", here))
        except SetupFailed as error:
            raise OperatorError(
                f"the project cannot be locked in the versions that are installed here: {error}",
                " ".join((*error.advice, OTHERWISE)),
            ) from error
        write(root, {**changed, **{f"requirements/{one}.txt": places.lock(one).read_bytes() for one in LOCKS}})


def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for one in metadata.distributions():
        found.setdefault(one.name, one.version)  # the first one is imported
    return found

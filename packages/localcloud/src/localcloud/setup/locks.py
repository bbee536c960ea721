"""How are the lock files made? By uv, with hashes and without any registry's address."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup.environments import LEVELS, LIBRARY, Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import OWN_LOCKS, Places, own_checkout

_PYTHON = "3.11"
_PLATFORM = "x86_64-manylinux_2_31"  # the oldest that Envoy is made for; a lock is the same wherever it is made


def compile_all(places: Places, installer: Installer, upgrade: bool) -> None:
    """Write a lock for every `.in` file in the project's `requirements/`; and the local cloud's own, in its checkout.

    A project without `app.in` has dependency groups in pyproject.toml instead, see `compile_groups`.

    The largest of the levels comes first: what a smaller one shares with it, it takes from it. Any other file names
    what it takes versions from, by `-c` or `-r`.

    A lock whose packages stay the same is left as it is: uv writes each file whole, with a head of its own, and so each
    would be changed, and the environments made of it made again.

    Args:
        places: The checkout.
        installer: uv.
        upgrade: Take newer versions; otherwise only what the inputs ask for changes.

    Raises:
        SetupFailed: The wanted packages do not fit together, or an address got into a lock.
    """
    folder = places.root / "requirements"
    newer = ("--upgrade",) if upgrade else ()
    if not (folder / "app.in").exists():
        compile_groups(places, installer, newer)
        return
    names = [*reversed(LEVELS), *sorted({source.stem for source in folder.glob("*.in")} - set(LEVELS))]
    wanted = [folder / f"{name}.in" for name in names]
    if own_checkout() == places.root:
        wanted += sorted(OWN_LOCKS.glob("*.in"))
    for source in wanted:
        larger = LEVELS[LEVELS.index(source.stem) + 1 :] if source.stem in LEVELS else ()
        constraint = ("-c", folder / f"{larger[0]}.txt") if larger else ()
        name = str(source.relative_to(places.root))
        _compile(source.with_suffix(".txt"), installer, (source, *constraint, *newer), name)


def compile_groups(places: Places, installer: Installer, more: Sequence[str | Path] = ()) -> None:
    """Write a lock for each dependency group of pyproject.toml; all others have the versions of `app`.

    No lock has the packages of the group `library`, but `app` includes it, and so has all that they need.
    """
    groups = places.groups
    left_out = [
        word for one in groups.get(LIBRARY, ()) for word in ("--no-emit-package", re.split(r"[\[=<>~! ]", one)[0])
    ]
    app = places.lock("app")
    app.parent.mkdir(exist_ok=True)
    for name in ["app", *sorted(set(groups) - {"app", LIBRARY})]:
        constraint = () if name == "app" else ("-c", app)
        _compile(
            places.lock(name), installer, ("--group", name, *left_out, *constraint, *more), f"requirements/{name}.txt"
        )


def _compile(lock: Path, installer: Installer, wanted: Sequence[str | Path], name: str) -> None:
    """Make one lock, and put it in its place if other packages are in it than before."""
    with TemporaryDirectory() as scratch:
        made = Path(scratch, lock.name)
        if lock.exists():
            shutil.copyfile(lock, made)  # uv keeps the versions that it finds there
        installer.run(
            *("pip", "compile", "--quiet", *wanted, "--generate-hashes", "--no-emit-index-url"),
            *("--no-annotate", "--python-version", _PYTHON, "--python-platform", _PLATFORM, "-o", made),
            what=f"Lock {name}",
            log=f"lock-{lock.stem}",
            environ={
                "UV_CUSTOM_COMPILE_COMMAND": "python -m localcloud.setup lock" if "--group" in wanted else "make lock"
            },
        )
        if "://" in made.read_text():
            raise SetupFailed(f"{lock} would hold an address", "Locks name packages, versions and hashes only.")
        if not lock.exists() or _packages(made) != _packages(lock):
            shutil.copyfile(made, lock)


def _packages(lock: Path) -> list[str]:
    """The lines of a lock that say what is installed."""
    lines = (line.strip() for line in lock.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]

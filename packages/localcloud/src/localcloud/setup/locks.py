"""How are the lock files made? By uv, with hashes and without any registry's address."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup.environments import LEVELS, Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import OWN_LOCKS, Places, own_checkout

_PYTHON = "3.11"
_PLATFORM = "x86_64-manylinux_2_31"  # the oldest that Envoy is made for; a lock is the same wherever it is made


def compile_all(places: Places, installer: Installer, upgrade: bool) -> None:
    """Write a lock for every `.in` file in the project's `requirements/`; and the local cloud's own, in its checkout.

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
    names = [*reversed(LEVELS), *sorted({source.stem for source in folder.glob("*.in")} - set(LEVELS))]
    wanted = [folder / f"{name}.in" for name in names]
    if own_checkout() == places.root:
        wanted += sorted(OWN_LOCKS.glob("*.in"))
    for source in wanted:
        larger = LEVELS[LEVELS.index(source.stem) + 1 :] if source.stem in LEVELS else ()
        constraint = ("-c", folder / f"{larger[0]}.txt") if larger else ()
        _compile(
            source, installer, (*constraint, *(("--upgrade",) if upgrade else ())), str(source.relative_to(places.root))
        )


def _compile(source: Path, installer: Installer, more: Sequence[str | Path], name: str) -> None:
    """Make one lock, and put it in its place if other packages are in it than before."""
    lock = source.with_suffix(".txt")
    with TemporaryDirectory() as scratch:
        made = Path(scratch, lock.name)
        if lock.exists():
            shutil.copyfile(lock, made)  # uv keeps the versions that it finds there
        installer.run(
            *("pip", "compile", "--quiet", source, *more, "--generate-hashes", "--no-emit-index-url"),
            *("--no-annotate", "--python-version", _PYTHON, "--python-platform", _PLATFORM, "-o", made),
            what=f"Lock {name}",
            log=f"lock-{source.stem}",
            environ={"UV_CUSTOM_COMPILE_COMMAND": "make lock"},
        )
        if "://" in made.read_text():
            raise SetupFailed(f"{lock} would hold an address", "Locks name packages, versions and hashes only.")
        if not lock.exists() or _packages(made) != _packages(lock):
            shutil.copyfile(made, lock)


def _packages(lock: Path) -> list[str]:
    """The lines of a lock that say what is installed."""
    lines = (line.strip() for line in lock.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]

"""How are the lock files made? By uv, with hashes and without any registry's address."""

from localcloud.setup.environments import LEVELS, Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import OWN_LOCKS, Places, own_checkout

_PYTHON = "3.11"


def compile_all(places: Places, installer: Installer, upgrade: bool) -> None:
    """Write a lock for every `.in` file in the project's `requirements/`; and the local cloud's own, in its checkout.

    The largest of the levels comes first: what a smaller one shares with it, it takes from it. Any other file names
    what it takes versions from, by `-c` or `-r`.

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
        lock = source.with_suffix(".txt")
        larger = LEVELS[LEVELS.index(source.stem) + 1 :] if source.stem in LEVELS else ()
        constraint = ("-c", folder / f"{larger[0]}.txt") if larger else ()
        installer.run(
            *("pip", "compile", "--quiet", source, *constraint, "--generate-hashes", "--no-emit-index-url"),
            *("--no-annotate", "--python-version", _PYTHON, "-o", lock, *(("--upgrade",) if upgrade else ())),
            what=f"Lock {source.relative_to(places.root)}",
            log=f"lock-{source.stem}",
            environ={"UV_CUSTOM_COMPILE_COMMAND": "make lock"},
        )
        if "://" in lock.read_text():
            raise SetupFailed(f"{lock} holds an address", "Locks name packages, versions and hashes only.")

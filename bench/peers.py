"""What drift and serving are measured against: from PyPI, each in an environment of its own, kept in the cache.

    ask("river", "adwin", {"streams": arrays})    # runs bench/peer_programs/adwin.py there; the JSON that it prints

Columns go over as a file of numpy's; an environment has nothing of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import ROOT
from bench.bed import BenchError
from localcloud.setup import Installer, Places, SetupFailed, cached

PROGRAMS = Path(__file__).parent / "peer_programs"
_QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1"}
_SECONDS = 1800


def ask(peer: str, program: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Run a program in a peer's environment on some arrays.

    Raises:
        BenchError: The environment cannot be made, or the program failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        np.savez(given, **{name: _plain(values) for name, values in arrays.items()})  # pyrefly: ignore[bad-argument-type]
        run = subprocess.run(
            [python_of(peer), PROGRAMS / f"{program}.py", given],
            cwd=folder,
            env={**os.environ, **_QUIET},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    if run.returncode:
        raise BenchError(f"{peer}: {run.stderr.strip()[-600:]}")
    return json.loads(run.stdout.splitlines()[-1])


@lru_cache
def python_of(peer: str) -> Path:
    """The Python of a peer's environment, which is made if need be."""
    places = Places.of(ROOT)
    try:
        return cached(places, Installer(places), places.lock(f"peer-{peer}")) / "bin" / "python"
    except SetupFailed as error:
        raise BenchError(f"the environment of requirements/peer-{peer}.txt: {error}") from error


def as_read(arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """The arrays as a peer has them: codes are texts that were read one after the other, and lie so in memory."""
    return {
        name: _plain(values).astype(object) if values.dtype.kind == "O" else values for name, values in arrays.items()
    }


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Codes as text, which a file holds without pickles."""
    return values.astype(str) if values.dtype.kind == "O" else values

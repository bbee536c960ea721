"""What exists: the Pulumi program, one component a file, composed by `__main__.py`.

Pulumi runs the program and its providers with this folder first on the import path, where `infra/rollout.py` would hide
the package `rollout`. Importing `infra` takes the folder off the path again.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]

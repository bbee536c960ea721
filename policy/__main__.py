"""The program that the engine starts at each preview and update that runs the pack."""

import sys
from pathlib import Path

# Python was started on this folder, whose modules belong to the package `policy`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from policy.pack import start  # noqa: E402

start()

"""The program that the engine starts at each preview and update that runs the pack."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The pack has an environment of its own, without the library.
sys.path[0] = str(HERE.parent / "packages/modelstack/src")

from modelstack.policy.pack import start  # noqa: E402

start(HERE / "exemptions.yaml")

"""Kubeflow's SDK, asked in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from demos.builds.kubeflow_docker import python

SDK = Path(__file__).with_name("sdk.py")


def asked(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of `sdk.py`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KF_", "PYTHONPATH"))}
    return subprocess.run([python(), SDK, *words], env=environment, capture_output=True, text=True, check=False)


def answer(*words: str | Path) -> Any:
    """What a command of `sdk.py` answers."""
    done = asked(*words)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return json.loads(done.stdout.splitlines()[-1])

"""Runs Python in a process of its own, as a person or a container does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def python(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` to its end, whatever its status, with more variables in its environment."""
    command, env = [sys.executable, *words], {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def printed(code: str, *arguments: str, cwd: Path = ROOT) -> str:
    """What a program prints that ends well."""
    done = python("-c", code, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()

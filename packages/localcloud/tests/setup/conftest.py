"""Small checkouts with a home of their own, and commands on PATH that answer as we say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud.setup.places import Places


@dataclass
class Machine:
    """A pretended machine: a checkout, a home, and a folder of commands."""

    places: Places
    home: Path
    commands: Path

    def command(self, name: str, script: str) -> Path:
        """Put a shell script on PATH."""
        file = self.commands / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which nothing is set up, with nothing on PATH but the system's own commands."""
    home, root, commands = tmp_path / "home", tmp_path / "checkout", tmp_path / "commands"
    for folder in (home, root / "requirements", commands):
        folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "sample"\nversion = "1"\n')
    for lock in ("app", "dev", "peer"):
        (root / "requirements" / f"{lock}.txt").write_text("pulumi-aws==7.51.1 \\\n    --hash=sha256:0\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return Machine(Places.of(root), home, commands)

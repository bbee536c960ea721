"""Small checkouts with a home of their own, and commands on PATH that answer as we say."""

from __future__ import annotations

import os
import shutil
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

    def install(self, package: str, version: str) -> None:
        """Put a version of a package, and no other, into the project's environment."""
        folder = self.places.venv / "lib" / "python3.11" / "site-packages"
        for other in folder.glob(f"{package.replace('-', '_')}-*"):
            shutil.rmtree(other)
        made = folder / f"{package.replace('-', '_')}-{version}.dist-info"
        made.mkdir(parents=True)
        (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which nothing is set up, with nothing on PATH but the system's own commands."""
    home, root, commands = tmp_path / "home", tmp_path / "checkout", tmp_path / "commands"
    for folder in (home, root / "requirements", commands):
        folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[project]\nname = "sample"\nversion = "1"\n[tool.localcloud]\nname = "sample"\n'
    )
    for lock in ("app", "dev", "peer"):
        (root / "requirements" / f"{lock}.txt").write_text("pulumi-aws==7.51.1 \\\n    --hash=sha256:0\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return Machine(Places.of(root), home, commands)

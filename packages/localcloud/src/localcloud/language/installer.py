"""How does `pulumi install` make a project's environment? With venv and pip, or with uv, as its options say."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import environment
from .protocol import language_pb2


class InstallFailed(Exception):
    """A command of the installation failed; the message names it. Its output was shown."""


def install(root: str, options: Mapping[str, Any]) -> Iterator[language_pb2.InstallDependenciesResponse]:
    """Make the virtual environment that the options name, and install the project's requirements into it.

    Raises:
        InstallFailed: A command failed.
        environment.NoEnvironment: The options name a toolchain that this host does not know.
    """
    for command in _commands(Path(root), options):
        yield language_pb2.InstallDependenciesResponse(stdout=f"$ {' '.join(command)}\n".encode())
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            for line in process.stdout or ():
                yield language_pb2.InstallDependenciesResponse(stdout=line)
        if process.returncode:
            raise InstallFailed(f"`{' '.join(command)}` failed with exit code {process.returncode}")


def _commands(root: Path, options: Mapping[str, Any]) -> Iterator[list[str]]:
    if options.get("toolchain") == "uv":
        yield ["uv", "sync"]
        return
    python = sys.executable
    if options.get("virtualenv"):
        folder = root / options["virtualenv"]
        if not (folder / "bin" / "python").exists():
            yield [sys.executable, "-m", "venv", str(folder)]
        python = str(environment.python_of(str(root), options))
    if (root / "requirements.txt").exists():
        yield [python, "-m", "pip", "install", "-r", "requirements.txt"]

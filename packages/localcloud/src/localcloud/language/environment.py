"""What does a virtual environment hold, and which one does a project run in?"""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = str(Path(__file__).resolve().parents[1] / "main.py")
"""The script that starts the host's parts in another environment's Python."""


class NoEnvironment(Exception):
    """The environment that Pulumi.yaml names cannot run the program; the message says why and what to do."""


@dataclass(frozen=True)
class Description:
    """One environment, as every update asks for it.

    Attributes:
        executable: Its interpreter.
        version: Python's version.
        plugins: The `pulumi-plugin.json` of each package that has one.
    """

    executable: str
    version: str
    plugins: list[dict[str, Any]]


@dataclass(frozen=True)
class Distributions:
    """What is installed in one environment. To list it takes a tenth of a second.

    Attributes:
        versions: Name to version of all distributions.
        top: Names that no other distribution requires.
    """

    versions: dict[str, str]
    top: list[str]


def python_of(root: str, options: Mapping[str, Any]) -> Path | None:
    """Find the interpreter of a project.

    Args:
        root: The folder of Pulumi.yaml.
        options: Its `runtime.options`.

    Returns:
        `bin/python` of the virtual environment, or None when the project names none: any Python will do.

    Raises:
        NoEnvironment: It names one that is not there, or a toolchain that this host does not know.
    """
    toolchain = options.get("toolchain") or "pip"
    if toolchain not in ("pip", "uv"):
        raise NoEnvironment(f"runtime.options.toolchain is {toolchain!r}; this language host knows 'pip' and 'uv'.")
    named = options.get("virtualenv") or (".venv" if toolchain == "uv" else None)
    if not named:
        return None
    python = Path(root, named, "bin", "python")
    if not python.exists():
        raise NoEnvironment(
            f"runtime.options.virtualenv in Pulumi.yaml is {named!r}, but there is no virtual environment at "
            f"{python.parent.parent}. Create it with the project's set-up or with `pulumi install`."
        )
    return python


def is_here(python: Path | None) -> bool:
    """Tell whether that interpreter's environment is the one that this process runs in."""
    return python is None or python.parent.parent.resolve() == Path(sys.prefix).resolve()


def described(python: Path | None) -> Description:
    """Describe the environment of an interpreter, in a process of its own where it is not ours.

    Raises:
        NoEnvironment: That interpreter does not run.
    """
    return describe() if is_here(python) else Description(**_asked(python, "describe"))


def distributions(python: Path | None) -> Distributions:
    """List what is installed in the environment of an interpreter; see `described`."""
    return installed() if is_here(python) else Distributions(**_asked(python, "installed"))


def _asked(python: Path | None, part: str) -> dict[str, Any]:
    ran = subprocess.run([str(python), "-u", HOST, part], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NoEnvironment(f"{python} does not run: {ran.stderr.strip()}")
    return json.loads(ran.stdout)


def describe() -> Description:
    """Describe the environment of this process."""
    return Description(sys.executable, ".".join(map(str, sys.version_info[:3])), plugins())


def installed() -> Distributions:
    """List what is installed in the environment of this process."""
    import importlib.metadata  # noqa: PLC0415  slow to load, and no update needs it

    versions: dict[str, str] = {}
    required: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            versions[name] = distribution.version
            # As pip: what only an extra requires is not required.
            required.update(_name(line) for line in distribution.requires or [] if "extra ==" not in line)
    return Distributions(versions, [name for name in versions if _name(name) not in required])


def plugins() -> list[dict[str, Any]]:
    """Read what each installed SDK says of the plugin that it needs, in the order of their names."""
    found: dict[str, dict[str, Any]] = {}
    for folder in map(Path, sys.path):
        for path in folder.glob("*/pulumi-plugin.json"):
            found.setdefault(path.parent.name, json.loads(path.read_text()))
    return [found[name] for name in sorted(found) if found[name].get("resource") and found[name].get("name")]


def parameter(value: str) -> bytes:
    """Decode a parameterized package's value, base64 in `pulumi-plugin.json`."""
    return base64.b64decode(value)


def _name(requirement: str) -> str:
    return re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0].lower().replace("_", "-")

"""What does a virtual environment hold, and which one does a project run in?"""

import base64
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HOST = str(Path(__file__).resolve().parents[1] / "main.py")
"""The script that starts the host's parts in another environment's Python."""


class NoEnvironment(Exception):
    """The environment that Pulumi.yaml names cannot run the program; the message says why and what to do."""


@dataclass(frozen=True)
class Description:
    """One environment.

    Attributes:
        plugins: The `pulumi-plugin.json` of each package that has one.
        packages: Name to version of all distributions.
        top: Names that no other distribution requires.
    """

    executable: str
    version: str
    plugins: list[dict[str, Any]]
    packages: dict[str, str]
    top: list[str]

    def to_json(self) -> str:
        """Write as one JSON object."""
        return json.dumps(asdict(self))


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
    if is_here(python):
        return describe()
    ran = subprocess.run([str(python), "-u", HOST, "describe"], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NoEnvironment(f"{python} does not run: {ran.stderr.strip()}")
    return Description(**json.loads(ran.stdout))


def describe() -> Description:
    """Describe the environment of this process."""
    packages: dict[str, str] = {}
    required: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            packages[name] = distribution.version
            required.update(_name(line) for line in distribution.requires or [])
    return Description(
        executable=sys.executable,
        version=".".join(map(str, sys.version_info[:3])),
        plugins=plugins(),
        packages=packages,
        top=[name for name in packages if _name(name) not in required],
    )


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

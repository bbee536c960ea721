"""What a Dockerfile says of how its image is run, for images that are made without an engine. Pure.

    run_as((ROOT / "serving" / "Dockerfile").read_text())
    # {"Entrypoint": [...], "Cmd": ["serve"], "Env": [...], "User": "1000:1000", ...}

Source: OCI image specification v1.1, "Image Configuration"; Dockerfile reference.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUILDS = frozenset({"COPY"})


def run_as(dockerfile: str) -> dict[str, Any]:
    """The `config` of an image, by the last stage of a Dockerfile.

    Raises:
        ValueError: An instruction of that stage is none that is understood here.
    """
    environment: dict[str, str] = {"PATH": _PATH}
    told: dict[str, Any] = {}
    for instruction, rest in _last_stage(dockerfile):
        if instruction == "ENV":
            pairs = dict(word.split("=", 1) for word in shlex.split(rest))
            environment |= {name: value.replace("$PATH", environment["PATH"]) for name, value in pairs.items()}
        elif instruction in {"ENTRYPOINT", "CMD"}:
            told[instruction.capitalize()] = json.loads(rest)
        elif instruction == "USER":
            told["User"] = rest
        elif instruction == "EXPOSE":
            told["ExposedPorts"] = {f"{port}/tcp": {} for port in rest.split()}
        elif instruction == "LABEL":
            told["Labels"] = dict(word.split("=", 1) for word in shlex.split(rest))
        elif instruction not in _BUILDS:
            raise ValueError(f"the Dockerfile's last stage has {instruction} {rest}, which is not understood here")
    return {"Env": [f"{name}={value}" for name, value in environment.items()], **told}


def _last_stage(dockerfile: str) -> list[tuple[str, str]]:
    text = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    split = [line.split(maxsplit=1) for line in lines[last + 1 :]]
    return [(word.upper(), rest) for word, rest in split]

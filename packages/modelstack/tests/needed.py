"""Which right does each role need, and which test shows it?

`needed.json` names for each right a test module whose calls used it: a story, where the local cloud keeps what each
role used, or the tests of a handler, which evaluate its calls themselves. One test of such a module looks whether they
were used; `tests.program.test_policies` looks whether a policy allows more.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from modelstack.platforms.aws.names import Names

FILE = Path(__file__).with_suffix(".json")
KEPT = "used-rights.jsonl"
"""Where a local cloud keeps which rights its roles used, in its state folder."""
_PATIENCE = 400  # seconds; schedules call the functions once a minute


class Right(NamedTuple):
    """A role's right.

    Attributes:
        role: The role, without the stack's name.
        action: What it may do.
        resource: To what, as `short` writes it.
    """

    role: str
    action: str
    resource: str


def short(resource: str, names: Names) -> str:
    """A resource of a policy without what differs from stack to stack, such as `table/STACK-rollouts`."""
    if ":key/" in resource:
        return "key"
    return resource.split(":", 5)[-1].replace(names.bucket, "BUCKET").replace(names.prefix, "STACK")


def needed(module: str) -> set[Right]:
    """The rights that a test module shows to be needed."""
    return _read(json.loads(FILE.read_text())[module])


def all_needed() -> set[Right]:
    """The rights that are shown to be needed."""
    return {right for shown in json.loads(FILE.read_text()).values() for right in _read(shown)}


def used(cloud: Path, names: Names) -> set[Right]:
    """The rights that the roles of a stack have used on a local cloud, by its state folder."""
    lines = [json.loads(line) for line in (cloud / KEPT).read_text().splitlines()]
    return {
        Right(one["role"].removeprefix(f"{names.prefix}-"), one["action"], short(one["resource"], names))
        for one in lines
    }


def unused(module: str, cloud: Path, names: Names) -> set[Right]:
    """What a module shows to be needed and its cloud has not seen, not even after functions had time to run."""
    end = time.monotonic() + _PATIENCE
    while (left := needed(module) - used(cloud, names)) and time.monotonic() < end:
        time.sleep(1)
    return left


def _read(shown: dict[str, dict[str, list[str]]]) -> set[Right]:
    return {
        Right(role, action, resource)
        for role, actions in shown.items()
        for action, resources in actions.items()
        for resource in resources
    }

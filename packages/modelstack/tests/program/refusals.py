"""Loads stack configs, and reads the messages of refusals."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from modelstack.program.config.settings import Settings

REGION = "us-east-1"


def load(stack: str = "local", region: str | None = REGION, **values: Any) -> Settings:
    config = {
        f"modelstack:{name}": value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
    }
    return Settings.load(config | ({"aws:region": region} if region else {}), stack)


def refusal(stack: str = "local", region: str | None = REGION, **values: Any) -> list[str]:
    """The lines of a refusal, one per wrong value."""
    with pytest.raises(pulumi.RunError) as caught:
        load(stack, region, **values)
    first, *lines = str(caught.value).split("\n")
    assert first == f"stacks/Pulumi.{stack}.yaml is not valid; nothing was changed:"
    assert all(line.startswith("  - ") for line in lines)
    return [line.removeprefix("  - ") for line in lines]

"""What tests of the stack's config share: loading a config, and what the message of a refusal says."""

from __future__ import annotations

import json
from typing import Any, get_args

import pulumi
import pytest
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel

from infra.config.settings import Settings

REGION = "us-east-1"
KINDS = {
    Ge: "greater_than_equal",
    Gt: "greater_than",
    Le: "less_than_equal",
    MinLen: "too_short",
    MaxLen: "too_long",
}


def load(stack: str = "local", region: str | None = REGION, **values: Any) -> Settings:
    """The settings of a stack with these sections."""
    config = {
        f"modelstack:{name}": value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
    }
    return Settings.load(config | ({"aws:region": region} if region else {}), stack)


def refusal(stack: str = "local", region: str | None = REGION, **values: Any) -> list[str]:
    """The lines of a refusal, one for each wrong value."""
    with pytest.raises(pulumi.RunError) as caught:
        load(stack, region, **values)
    first, *lines = str(caught.value).split("\n")
    assert first == f"stacks/Pulumi.{stack}.yaml is not valid; nothing was changed:"
    assert all(line.startswith("  - ") for line in lines)
    return [line.removeprefix("  - ") for line in lines]


def constraints(
    model: type[BaseModel], where: str, below: dict[str, tuple[type[BaseModel], str]] | None = None
) -> set[tuple[str, str]]:
    """Every field below a model with each kind of error that it can have.

    Args:
        model: The section.
        where: Its path.
        below: Of fields that hold several sections: the section, and what stands for one of them in a path.
    """
    found: set[tuple[str, str]] = set()
    for name, field in model.model_fields.items():
        path = f"{where}.{field.alias or name}".lstrip(".")
        found |= {(path, "type")} | {(path, kind) for rule in field.metadata for kind in kinds(rule)}
        if below and path in below:
            inner, part = below[path]
            found |= {(path + part, "type")} | constraints(inner, path + part, below)
        parts = get_args(field.annotation) if type(None) in get_args(field.annotation) else (field.annotation,)
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= constraints(part, path, below)
    return found


def kinds(rule: Any) -> list[str]:
    """The kinds of error that a constraint makes."""
    if getattr(rule, "pattern", None):
        return ["pattern"]
    return [KINDS[type(rule)]] if type(rule) in KINDS else []


def kind_of(error_type: str) -> str:
    """The kind of error of one of pydantic's."""
    if error_type.endswith(("too_short", "too_long", "pattern_mismatch")):
        return error_type.removeprefix("string_").removesuffix("_mismatch")
    return error_type if error_type in KINDS.values() else "type"

"""Numbers as they were written: 3, not 3.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def whole(value: Any) -> Any:
    """Give numbers without a fraction back their type: Pulumi, and a field for numbers, make every number a float."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value

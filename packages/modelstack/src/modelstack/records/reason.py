"""The reason of an audit record, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstack.rollout.reason import Reason


def reason_text(what: Mapping[str, Any]) -> str:
    """The sentence of a record's reason; the kind of one that a newer version wrote."""
    reason = what.get("reason")
    if not isinstance(reason, dict):
        return str(what.get("said") or what.get("event", ""))
    try:
        return Reason.from_dict(reason).text
    except (AttributeError, KeyError, TypeError, ValueError):
        return str(reason.get("said") or reason.get("kind", ""))

"""One good config of each strategy."""

from __future__ import annotations

from typing import Any

STEP = {"weight": 10, "bake_seconds": 1}
GOOD: dict[str, dict[str, Any]] = {
    "all_at_once": {"bake_seconds": 60},
    "canary": STEP,
    "linear": {"step_percent": 25, "bake_seconds": 60},
    "steps": {"steps": [STEP]},
    "ab": {"weight": 50},
    "shadow": {"percent": 50, "bake_seconds": 60},
}


def strategy(kind: str, **changes: Any) -> dict[str, Any]:
    return {"kind": kind, **GOOD[kind], **changes}

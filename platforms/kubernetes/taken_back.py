"""Event on a route whose rules were reverted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from platforms.kubernetes import names
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import EVENT, ROUTE
from rollout.core.errors import RolloutError


def tell(api: Api, route: Mapping[str, Any], others: Sequence[str], now: float) -> None:
    """Create the Event, once for each version of the route, with the writers of its rules; ignore a failure."""
    metadata = route["metadata"]
    about = {key: metadata[key] for key in ("name", "uid", "resourceVersion")}
    mark = hashlib.sha256(f"{about}".encode()).hexdigest()[:16]
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "metadata": {"name": f"{metadata['name']}.{mark}"},
        "involvedObject": {
            **about,
            "apiVersion": ROUTE.api_version,
            "kind": ROUTE.kind,
            "namespace": metadata.get("namespace", api.namespace),
        },
        "type": "Warning",
        "reason": "RulesTakenBack",
        "message": f"spec.rules was written by {', '.join(others)}. Only {names.MANAGER} writes it: the rules of the "
        "rollout are back. To change weights by hand, use `modelstack`.",
        "source": {"component": names.MANAGER},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    with suppress(RolloutError):
        api.create(EVENT, event)

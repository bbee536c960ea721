"""Parses calls of Alertmanager's webhook. Pure.

The caller is not authenticated. So an alert's content is not trusted: it only says where to look.

Source: Prometheus, Alertmanager, "webhook_config", version 4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LABEL = "endpoint"
"""The label of an alert with its endpoint."""


class NoCall(ValueError):
    """The body is not a call of Alertmanager's webhook; the message says why."""


def endpoints(body: bytes) -> tuple[str, ...]:
    """The endpoints of the firing alerts in a call, without duplicates; raises NoCall."""
    try:
        call: Any = json.loads(body)
    except ValueError as error:
        raise NoCall(f"the body is no JSON: {error}") from error
    alerts = call.get("alerts") if isinstance(call, Mapping) else None
    if not isinstance(alerts, list) or not all(isinstance(alert, Mapping) for alert in alerts):
        raise NoCall("the body has no list `alerts`; expected is Alertmanager's webhook, version 4")
    found = [_endpoint(alert) for alert in alerts if alert.get("status", "firing") == "firing"]
    return tuple(dict.fromkeys(name for name in found if name))


def _endpoint(alert: Mapping[str, Any]) -> str:
    labels = alert.get("labels")
    name = labels.get(LABEL) if isinstance(labels, Mapping) else None
    return name if isinstance(name, str) else ""

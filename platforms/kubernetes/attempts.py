"""A request goes to another pod of the same version when no connection to the first one comes about.

    policy("flight-delay-prod")

A gateway learns late that a pod is gone while its control plane is down, and a pod that dies at once tells nobody.
Nothing was sent to such a pod, so the request may be sent again, whatever it asks for. A pod that took the request and
fails is never asked twice: the failure is the version's own.

With nothing but `retry` in it, and merged with what a policy of the Gateway says, it leaves merged backends as they
are. A policy that stood for itself would give the route clusters of its own (1.9.1): variants would lose their metrics.

Source: Envoy Gateway 1.9, BackendTrafficPolicy; Envoy, `x-envoy-retry-on`.
"""

from __future__ import annotations

from typing import Any

from platforms.kubernetes.kinds import BACKEND_POLICY, ROUTE

_AGAIN = 5
"""Envoy passes over the pods that it has tried, so one that is gone of two is met once. The other tries are for the
moment in which it knows of no pod that lives."""
_PAUSE = {"baseInterval": "50ms", "maxInterval": "500ms"}
"""Between two tries: each pause is drawn from 0 up to a bound that doubles. All five come to 0.8 s, at most 1.6 s."""


def policy(route: str) -> dict[str, Any]:
    """The BackendTrafficPolicy of an HTTPRoute, under its name."""
    group = ROUTE.api_version.partition("/")[0]
    return {
        "apiVersion": BACKEND_POLICY.api_version,
        "kind": BACKEND_POLICY.kind,
        "metadata": {"name": route},
        "spec": {
            "targetRefs": [{"group": group, "kind": ROUTE.kind, "name": route}],
            "mergeType": "StrategicMerge",
            "retry": {
                "numRetries": _AGAIN,
                "perRetry": {"backOff": dict(_PAUSE)},
                "retryOn": {"triggers": ["connect-failure", "refused-stream"]},
            },
        },
    }

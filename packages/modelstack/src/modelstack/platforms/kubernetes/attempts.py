"""Retries: a request goes to another pod of the same version if no connection to the first one is made.

A gateway learns late that a pod is gone if the pod dies suddenly or the control plane is down. Nothing was sent to such
a pod, so any request can be retried. A pod that took the request and fails is never retried: that failure counts.
Nor is a request to one that hangs, since it may have taken the request. Its readiness probe takes it out after seconds,
sooner than outlier detection would, which sees a timeout only after 15 s. What it holds is answered 504 then.

Only `retry` alone, merged with the Gateway's policy, leaves merged backends as they are. Otherwise the route gets its
own clusters (1.9.1), and variants lose their metrics.

Source: Envoy Gateway 1.9, BackendTrafficPolicy; Envoy, `x-envoy-retry-on`.
"""

from __future__ import annotations

from typing import Any

from modelstack.platforms.kubernetes.kinds import BACKEND_POLICY, ROUTE

_AGAIN = 5  # Envoy skips pods that it has tried. More tries are for the moment when it knows of no live pod
_PAUSE = {"baseInterval": "50ms", "maxInterval": "500ms"}
"""Each pause is random, up to a bound that doubles. All five take 0.8 s on average, at most 1.6 s."""


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

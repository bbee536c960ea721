"""How alerts reach people, and wake the controller: the config of an Alertmanager. Pure.

    config(wake="http://modelstack-controller.models:8081/wake", page={...}, ticket={...})

Source: Alertmanager documentation, "Configuration".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platforms.kubernetes.rule import SEVERITY, WAKE

Receiver = Mapping[str, Any]
"""How somebody is told, as Alertmanager has it: `{"webhook_configs": [...]}`, `{"email_configs": [...]}`."""


def config(wake: str, page: Receiver | None = None, ticket: Receiver | None = None) -> dict[str, Any]:
    """The whole config. An alert on how a variant answers wakes the controller first, with no wait, and people too.

    What is sent to the controller only wakes it: it asks Prometheus what rings. So a message that is lost costs the
    time to its next tick, and one that is forged costs a look.

    Args:
        wake: The URL of the controller that is posted to.
        page: How somebody is woken; None: nobody is.
        ticket: How somebody is told by day; None: nobody is.
    """
    told = {"page": page or {}, "ticket": ticket or {}}
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["endpoint", "alertname"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [
                {
                    "receiver": "controller",
                    "matchers": [f'{WAKE}="true"'],
                    "group_by": ["..."],
                    "group_wait": "0s",
                    "group_interval": "1s",
                    "repeat_interval": "1m",
                    "continue": True,
                },
                *({"receiver": severity, "matchers": [f'{SEVERITY}="{severity}"']} for severity in told),
            ],
        },
        "receivers": [
            {"name": "nobody"},
            # Told of the end, too: else Alertmanager takes what rings again within a minute for told already.
            {"name": "controller", "webhook_configs": [{"url": wake, "send_resolved": True, "max_alerts": 0}]},
            *({"name": severity, **receiver} for severity, receiver in told.items()),
        ],
    }

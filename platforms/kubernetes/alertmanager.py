"""How alerts of an endpoint reach people, and wake the controller: as an Alertmanager is told it. Pure.

    config("flight-delay-prod", "models", page=Receiver(email=("oncall@example.org",)))  # a whole alertmanager.yml
    alertmanager_config("flight-delay-prod", "models", page=Receiver(secret="pager"))    # for the Prometheus operator

Sources: Alertmanager documentation, "Configuration"; Prometheus operator, "AlertmanagerConfig", v1alpha1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platforms.kubernetes.metrics import whose
from platforms.kubernetes.names import CONTROLLER, CONTROLLER_PORT
from platforms.kubernetes.rule import SEVERITY, WAKE
from services.measuring import camel

_NOBODY, _CONTROLLER = "nobody", "controller"


@dataclass(frozen=True)
class Receiver:
    """How somebody is told.

    Attributes:
        email: Addresses.
        secret: A Secret whose key `url` is where alerts are posted to; None: nowhere.
    """

    email: tuple[str, ...] = ()
    secret: str | None = None


def wake_url(namespace: str) -> str:
    """Where the controller of a namespace is woken, from anywhere in its cluster."""
    return f"http://{CONTROLLER}.{namespace}.svc:{CONTROLLER_PORT}/wake"


def config(
    endpoint: str, namespace: str, *, page: Receiver | None = None, ticket: Receiver | None = None
) -> dict[str, Any]:
    """The whole config of an Alertmanager that knows this endpoint alone.

    To add it to one that knows more, put its routes and its receivers beside those that are there. All names begin with
    the namespace and the endpoint, so no other stack has one of them. No Secret is read: who has one for it tells it to
    Alertmanager.

    Args:
        endpoint: The endpoint.
        namespace: Where it is, and its controller.
        page: How somebody is woken; None: nobody is.
        ticket: How somebody is told by day; None: nobody is.
    """
    told, prefix = _told(page, ticket), f"{namespace}/{endpoint}/"
    receivers = [
        {"name": f"{prefix}{_NOBODY}"},
        {"name": f"{prefix}{_CONTROLLER}", "webhook_configs": [_woken(wake_url(namespace))]},
        *({"name": f"{prefix}{severity}", **_emails(receiver)} for severity, receiver in told.items()),
    ]
    route = _route(whose(namespace, endpoint), prefix, tuple(told))
    return {"route": {"receiver": f"{prefix}{_NOBODY}", "routes": [route]}, "receivers": receivers}


def alertmanager_config(
    endpoint: str, namespace: str, *, page: Receiver | None = None, ticket: Receiver | None = None
) -> dict[str, Any]:
    """The same as the spec of an AlertmanagerConfig; arguments as of `config`.

    The operator itself puts the namespace and the object's name before the names of receivers.
    """
    told = _told(page, ticket)
    receivers = [
        {"name": _NOBODY},
        {"name": _CONTROLLER, "webhookConfigs": [_of_operator(_woken(wake_url(namespace)))]},
        *({"name": severity, **_receiver(receiver)} for severity, receiver in told.items()),
    ]
    return {"route": _of_operator(_route(whose(namespace, endpoint), "", tuple(told))), "receivers": receivers}


def _told(page: Receiver | None, ticket: Receiver | None) -> dict[str, Receiver]:
    asked = {"page": page, "ticket": ticket}
    return {severity: receiver for severity, receiver in asked.items() if receiver is not None}


def _route(of: Mapping[str, str], prefix: str, told: tuple[str, ...]) -> dict[str, Any]:
    """An alert on how a variant answers wakes the controller first, with no wait, and people too.

    What is sent to the controller only wakes it: it asks Prometheus what rings. So a message that is lost costs the
    time to its next tick, and one that is forged costs a look.
    """
    return {
        "receiver": f"{prefix}{_NOBODY}",
        "matchers": [f'{label}="{value}"' for label, value in of.items()],
        "continue": True,  # routes of others may tell more
        "group_by": [*of, "alertname"],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "4h",
        "routes": [
            {
                "receiver": f"{prefix}{_CONTROLLER}",
                "matchers": [f'{WAKE}="true"'],
                "group_by": ["..."],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1m",
                "continue": True,
            },
            *({"receiver": f"{prefix}{severity}", "matchers": [f'{SEVERITY}="{severity}"']} for severity in told),
        ],
    }


def _woken(wake: str) -> dict[str, Any]:
    """Told of the end, too: else Alertmanager takes what rings again within a minute for told already."""
    return {"url": wake, "send_resolved": True, "max_alerts": 0}


def _emails(receiver: Receiver) -> dict[str, Any]:
    return {"email_configs": [{"to": one, "send_resolved": True} for one in receiver.email]} if receiver.email else {}


def _receiver(receiver: Receiver) -> dict[str, Any]:
    posted: dict[str, Any] = {}
    if receiver.secret:
        secret = {"name": receiver.secret, "key": "url"}
        posted = {"webhookConfigs": [{"urlSecret": secret, "sendResolved": True}]}
    return {**posted, **_of_operator(_emails(receiver))}


def _of_operator(value: Any) -> Any:
    """Names in camel case, and each matcher in parts, as objects of the operator have them."""
    if isinstance(value, list):
        return [_of_operator(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        found[camel(key)] = [_matcher(one) for one in item] if key == "matchers" else _of_operator(item)
    return found


def _matcher(text: str) -> dict[str, str]:
    name, _, value = text.partition("=")
    return {"name": name, "value": value.strip('"'), "matchType": "="}

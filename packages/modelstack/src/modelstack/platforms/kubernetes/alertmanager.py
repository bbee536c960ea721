"""Alertmanager configuration: alerts of an endpoint notify people and wake the controller. Pure.

Sources: Alertmanager documentation, "Configuration"; Prometheus operator, "AlertmanagerConfig", v1alpha1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.platforms.kubernetes.access_token import BEARER, KEY, secret_name
from modelstack.platforms.kubernetes.metrics import whose
from modelstack.platforms.kubernetes.names import CONTROLLER, CONTROLLER_PORT
from modelstack.platforms.kubernetes.rule import SEVERITY, WAKE
from modelstack.services.measuring import camel

_NOBODY, _CONTROLLER = "nobody", "controller"


@dataclass(frozen=True)
class Receiver:
    """A recipient of alerts: email addresses, and the Secret whose key `url` holds a webhook's URL."""

    email: tuple[str, ...] = ()
    secret: str | None = None


def wake_url(namespace: str, endpoint: str) -> str:
    """The URL, inside the cluster, that lets the controller look at an endpoint."""
    return f"http://{CONTROLLER}.{namespace}.svc:{CONTROLLER_PORT}/wake/{endpoint}"


def token_file(namespace: str, endpoint: str) -> str:
    """The file with the endpoint's token, as Alertmanager sees it from the folder of its config."""
    return f"secrets/{namespace}/{secret_name(endpoint)}/{KEY}"


def config(
    endpoint: str, namespace: str, *, page: Receiver | None = None, ticket: Receiver | None = None
) -> dict[str, Any]:
    """The complete config of an Alertmanager for this endpoint alone.

    To extend an existing config, add these routes and receivers to it: their names begin with namespace and endpoint,
    so they do not collide. Secrets are not read: the person who deploys Alertmanager has to give it their URLs, and the
    endpoint's token as `token_file`.
    """
    prefix = f"{namespace}/{endpoint}/"
    token = {"type": BEARER.strip(), "credentials_file": token_file(namespace, endpoint)}
    route, receivers = _parts(endpoint, namespace, {"page": page, "ticket": ticket}, prefix, token)
    return {"route": {"receiver": f"{prefix}{_NOBODY}", "routes": [route]}, "receivers": receivers}


def alertmanager_config(
    endpoint: str, namespace: str, *, page: Receiver | None = None, ticket: Receiver | None = None
) -> dict[str, Any]:
    """The same as the spec of an AlertmanagerConfig; the operator itself prefixes the receivers' names."""
    people = {"page": page, "ticket": ticket}
    token = {"type": BEARER.strip(), "credentials": {"name": secret_name(endpoint), "key": KEY}}
    route, receivers = map(_of_operator, _parts(endpoint, namespace, people, "", token))
    for one in receivers:
        receiver = people.get(one["name"])
        if receiver is not None and receiver.secret:
            secret = {"name": receiver.secret, "key": "url"}
            one["webhookConfigs"] = [{"urlSecret": secret, "sendResolved": True}]
    return {"route": route, "receivers": receivers}


def _parts(
    endpoint: str, namespace: str, people: Mapping[str, Receiver | None], prefix: str, token: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    told = {severity: receiver for severity, receiver in people.items() if receiver is not None}
    # Resolved alerts are sent too: otherwise Alertmanager drops an alert that fires again within a minute.
    woken = {
        "url": wake_url(namespace, endpoint),
        "send_resolved": True,
        "max_alerts": 1,  # the controller does not read them
        "http_config": {"authorization": token},
    }
    receivers: list[dict[str, Any]] = [
        {"name": f"{prefix}{_NOBODY}"},
        {"name": f"{prefix}{_CONTROLLER}", "webhook_configs": [woken]},
    ]
    for severity, receiver in told.items():
        emails = [{"to": one, "send_resolved": True} for one in receiver.email]
        receivers.append({"name": f"{prefix}{severity}", **({"email_configs": emails} if emails else {})})
    return _route(whose(namespace, endpoint), prefix, tuple(told)), receivers


def _route(of: Mapping[str, str], prefix: str, told: tuple[str, ...]) -> dict[str, Any]:
    """An alarm of a variant wakes the controller at once, and notifies people too.

    The message only wakes the controller, which reads the alarms from Prometheus. So a lost message costs the time to
    the next tick, and a forged one a look at most each second.
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


def _of_operator(value: Any) -> Any:
    """Keys in camel case and matchers as objects, as the operator's resources have them."""
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

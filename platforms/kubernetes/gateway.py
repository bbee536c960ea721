"""A Gateway: where it answers, by its own status, and by which listeners a route's requests come in.

url(api, "models")     # http://10.96.3.7
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import GATEWAY
from rollout.core.errors import Unreachable

_PORTS = {"HTTP": 80, "HTTPS": 443}


def url(api: Api, gateway: str) -> str:
    """The URL of a Gateway's first HTTP or HTTPS listener at its first address.

    Raises:
        Unreachable: It has no address yet, or no such listener.
        RolloutError: It cannot be read.
    """
    found = api.get(GATEWAY, gateway)
    listeners = [item for item in found["spec"]["listeners"] if item["protocol"] in _PORTS]
    addresses = [item["value"] for item in found.get("status", {}).get("addresses", [])]
    if not listeners or not addresses:
        lacking = "no address yet: is its data plane ready?" if listeners else "no listener for HTTP or HTTPS"
        raise Unreachable(f"Gateway {api.namespace}/{gateway} has {lacking}")
    protocol, port = listeners[0]["protocol"], listeners[0]["port"]
    host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return f"{protocol.lower()}://{host}" + (f":{port}" if port != _PORTS[protocol] else "")


def taking(gateway: Mapping[str, Any], host: str | None) -> tuple[str, ...]:
    """The listeners of a Gateway that take requests for a host, or for any host when the route names none.

    Source: Gateway API 1.3, "Cross-serving: hostnames of listeners and routes".
    """
    return tuple(
        str(item["name"])
        for item in gateway["spec"]["listeners"]
        if item["protocol"] in _PORTS and _meets(item.get("hostname"), host)
    )


def _meets(listens: str | None, host: str | None) -> bool:
    if not listens or not host or listens == host:
        return True
    return listens.startswith("*.") and host.endswith(listens[1:])

"""A Gateway's address, by its own status, and the listeners that accept a route's requests."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, GATEWAY
from modelstack.rollout.core.errors import RolloutError, Unreachable

AUTHORITY = "ca.crt"  # the key of a ConfigMap with a custom CA, as in a BackendTLSPolicy of the Gateway API
_PORTS = {"HTTP": 80, "HTTPS": 443}


@dataclass(frozen=True)
class Entrance:
    """The address of a route: the Gateway's URL without a path, the route's host (empty for any), and TLS settings."""

    url: str
    host: str = ""
    verify: ssl.SSLContext | bool = True

    def client(self, timeout: httpx.Timeout, at_once: int = 10) -> httpx.Client:
        """A new client for `at_once` concurrent requests; the caller closes it.

        The URL has the Gateway's address. Its certificate is for the host, so TLS verifies that name.
        """

        def named(request: httpx.Request) -> None:
            request.extensions = {**request.extensions, "sni_hostname": self.host}

        return httpx.Client(
            base_url=self.url,
            verify=self.verify,
            timeout=timeout,
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
            headers={"host": self.host} if self.host else {},
            event_hooks={"request": [named]} if self.host else {},
        )


def entrance(api: Api, gateway: str, host: str = "", authority: str = "") -> Entrance:
    """The address of a route; the ConfigMap's (`authority`) `ca.crt` verifies the Gateway, or the system's CAs.

    Raises:
        Unreachable: The Gateway has no address yet, or no such listener.
        RolloutError: The Gateway or the ConfigMap cannot be read, or has no valid certificate.
    """
    place = url(api, gateway)
    if not authority or place.startswith("http://"):
        return Entrance(place, host)
    held = ((api.find(CONFIG_MAP, authority) or {}).get("data") or {}).get(AUTHORITY, "")
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        verify.load_verify_locations(cadata=held)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        where = f"ConfigMap {api.namespace}/{authority}"
        raise RolloutError(f"{where}: {AUTHORITY} holds no certificate: {error}") from None
    return Entrance(place, host, verify)


def url(api: Api, gateway: str) -> str:
    """The URL of a Gateway's first HTTP or HTTPS listener at its first address; raises as `entrance`."""
    found = api.get(GATEWAY, gateway)
    listeners = _listeners(found)
    addresses = [item["value"] for item in found.get("status", {}).get("addresses", [])]
    if not listeners or not addresses:
        lacking = "no address yet: is its data plane ready?" if listeners else "no listener for HTTP or HTTPS"
        raise Unreachable(f"Gateway {api.namespace}/{gateway} has {lacking}")
    protocol, port = listeners[0]["protocol"], listeners[0]["port"]
    host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return f"{protocol.lower()}://{host}" + (f":{port}" if port != _PORTS[protocol] else "")


def is_tls(gateway: Mapping[str, Any]) -> bool:
    """Whether the listener of `url` uses TLS."""
    return any(item["protocol"] == "HTTPS" for item in _listeners(gateway)[:1])


def taking(gateway: Mapping[str, Any], host: str | None) -> tuple[str, ...]:
    """The listeners that accept requests for a host, or for any host if the route has none.

    Source: Gateway API 1.3, "Cross-serving: hostnames of listeners and routes".
    """
    return tuple(str(item["name"]) for item in _listeners(gateway) if _meets(item.get("hostname"), host))


def _listeners(gateway: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in gateway["spec"]["listeners"] if item["protocol"] in _PORTS]


def _meets(listens: str | None, host: str | None) -> bool:
    if not listens or not host or listens == host:
        return True
    return listens.startswith("*.") and host.endswith(listens[1:])

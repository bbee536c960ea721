"""Parts of requests to an API server: bodies, selectors, paths of services; and the events of its watches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from platforms.kubernetes.kinds import ResourceKind
from rollout.core.errors import Conflict, RolloutError

Object = dict[str, Any]
Labels = Mapping[str, str | tuple[str, ...]]
"""Label -> its value, or the values of which it has one."""
_GONE = 410  # a watch that is too old to go on


def whole(kind: ResourceKind, obj: Mapping[str, Any]) -> Object:
    """An object that says what it is."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


def selector(labels: Labels) -> dict[str, str]:
    """The query for what has these labels."""
    parts = [
        f"{key}={value}" if isinstance(value, str) else f"{key} in ({','.join(value)})" for key, value in labels.items()
    ]
    return {"labelSelector": ",".join(parts)} if parts else {}


def event(told: Mapping[str, Any], doing: str) -> tuple[str, Object]:
    """What a watch tells: what happened, and the object.

    Raises:
        Conflict: The server forgot where the watch was.
        RolloutError: It cannot go on, in the server's own words.
    """
    kind, obj = str(told["type"]), dict(told["object"])
    if kind != "ERROR":
        return kind, obj
    words = f"{doing}: {obj.get('message')}"
    raise Conflict(words) if obj.get("code") == _GONE else RolloutError(words)


def service_path(url: str) -> str | None:
    """Where the API server has a service; None for a URL that is none of a service."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    of_service = len(labels) == 2 or labels[2:3] == ["svc"]
    if not of_service or parts.scheme not in {"http", "https"} or labels[0].isdigit():
        return None
    service, namespace = labels[:2]
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"/api/v1/namespaces/{namespace}/services/{parts.scheme}:{service}:{port}/proxy{parts.path}"

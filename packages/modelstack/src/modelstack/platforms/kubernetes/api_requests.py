"""Parts of requests to an API server, and events of its watches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from modelstack.platforms.kubernetes.kinds import ResourceKind
from modelstack.rollout.core.errors import Conflict, RolloutError

Object = dict[str, Any]
Labels = Mapping[str, str | tuple[str, ...]]  # label -> value, or the allowed values
_GONE = 410  # a watch that is too old to go on


def whole(kind: ResourceKind, obj: Mapping[str, Any]) -> Object:
    """An object with its apiVersion and kind."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


def selector(labels: Labels) -> dict[str, str]:
    """The query parameter that selects these labels."""
    parts = [
        f"{key}={value}" if isinstance(value, str) else f"{key} in ({','.join(value)})" for key, value in labels.items()
    ]
    return {"labelSelector": ",".join(parts)} if parts else {}


def event(told: Mapping[str, Any], doing: str) -> tuple[str, Object]:
    """The type and the object of a watch event; raises Conflict if the resource version expired."""
    kind, obj = str(told["type"]), dict(told["object"])
    if kind != "ERROR":
        return kind, obj
    words = f"{doing}: {obj.get('message')}"
    raise Conflict(words) if obj.get("code") == _GONE else RolloutError(words)


def service_path(url: str) -> str | None:
    """The API server's proxy path of a Service; None for any other URL."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    of_service = len(labels) == 2 or labels[2:3] == ["svc"]
    if not of_service or parts.scheme not in {"http", "https"} or labels[0].isdigit():
        return None
    service, namespace = labels[:2]
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"/api/v1/namespaces/{namespace}/services/{parts.scheme}:{service}:{port}/proxy{parts.path}"


def timestamp(at: float) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def event_object(
    name: str, about: Mapping[str, str], reason: str, message: str, *, at: float, by: str, warning: bool
) -> Object:
    """An Event about an object; `by` is the reporting component.

    Source: Kubernetes API reference, core/v1 Event.
    """
    return {
        "metadata": {"name": name},
        "involvedObject": dict(about),
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": timestamp(at),
        "lastTimestamp": timestamp(at),
        "source": {"component": by},
        "reportingComponent": by,
        "reportingInstance": by,
    }

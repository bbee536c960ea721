"""Stack outputs on Kubernetes."""

from __future__ import annotations

from typing import Any

from infra.kubernetes.site import Site

NAMES = (
    *("platform", "endpoint_name", "context", "namespace", "gateway", "host", "ca_config_map"),
    *("prometheus_url", "registry", "bucket"),
    *("package_digest", "champion", "challenger", "release", "metrics", "signing_key", "slo", "panels"),
    "awaits",
)


def of_place(site: Site) -> dict[str, Any]:
    """The outputs of a stack before its first release."""
    settings, names = site.settings, site.names
    return {
        "platform": "kubernetes",
        "endpoint_name": names.prefix,
        "context": settings.context,
        "namespace": names.namespace,
        "gateway": settings.gateway.name or names.prefix,
        "host": settings.gateway.host,
        "ca_config_map": settings.gateway.ca_config_map,
        "prometheus_url": settings.prometheus,
        "registry": settings.registry,
        "bucket": settings.bucket.model_dump(exclude={"secret"}) if settings.bucket else None,
    }

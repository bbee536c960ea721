"""The kinds of objects that are read and written in a cluster, and where the API server has them.

ROUTE.path("models", "flight-delay-prod")
# /apis/gateway.networking.k8s.io/v1/namespaces/models/httproutes/flight-delay-prod
"""

from __future__ import annotations

from dataclasses import dataclass

from platforms.kubernetes import names


@dataclass(frozen=True)
class ResourceKind:
    """A kind of object.

    Attributes:
        api_version: Its group and version, as in a manifest.
        kind: Its name in a manifest.
        plural: Its name in a path.
        namespaced: Whether it lives in a namespace.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """Where the API server has all of a namespace, or one of them, or a part of it such as `status`."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        place = f"/namespaces/{namespace}" if self.namespaced else ""
        return "/".join([f"{root}{place}", *(item for item in (self.plural, name, part) if item)])


ROLLOUT = ResourceKind(names.API_VERSION, names.ROLLOUT, "rollouts")
PACKAGE = ResourceKind(names.API_VERSION, names.PACKAGE, "modelpackages")
ROUTE = ResourceKind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
GATEWAY = ResourceKind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASS = ResourceKind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
ENVOY_PROXY = ResourceKind("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", "envoyproxies")
PATCH_POLICY = ResourceKind("gateway.envoyproxy.io/v1alpha1", "EnvoyPatchPolicy", "envoypatchpolicies")
BACKEND_POLICY = ResourceKind("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "backendtrafficpolicies")
CONFIG_MAP = ResourceKind("v1", "ConfigMap", "configmaps")
SECRET = ResourceKind("v1", "Secret", "secrets")
SERVICE = ResourceKind("v1", "Service", "services")
ENDPOINT_SLICE = ResourceKind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
POD = ResourceKind("v1", "Pod", "pods")
EVENT = ResourceKind("v1", "Event", "events")
NAMESPACE = ResourceKind("v1", "Namespace", "namespaces", namespaced=False)
NODE = ResourceKind("v1", "Node", "nodes", namespaced=False)
DEPLOYMENT = ResourceKind("apps/v1", "Deployment", "deployments")
AUTOSCALER = ResourceKind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
LEASE = ResourceKind("coordination.k8s.io/v1", "Lease", "leases")
CRD = ResourceKind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
WHO = ResourceKind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)

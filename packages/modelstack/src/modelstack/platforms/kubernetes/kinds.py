"""The kinds of Kubernetes objects in use, and their API paths."""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.platforms.kubernetes import names


@dataclass(frozen=True)
class ResourceKind:
    """A kind of object."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """The path of all objects of a namespace, of one, or of a subresource such as `status`."""
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

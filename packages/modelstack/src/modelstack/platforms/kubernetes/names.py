"""Names in a cluster: of objects, labels, annotations and headers."""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.services.release_names import ReleaseNames

GROUP, VERSION = "modelstack.dev", "v1"
API_VERSION = f"{GROUP}/{VERSION}"
ROLLOUT, PACKAGE = "Rollout", "ModelPackage"  # the kinds of our custom resources
MANAGER, PROGRAM = "modelstack-rollout", "modelstack-pulumi"
"""Field managers: the rollout controller, which alone writes a route's rules, and the Pulumi program."""
ENDPOINT, VARIANT = f"{GROUP}/endpoint", f"{GROUP}/variant"
"""Labels of all objects of an endpoint, and of all objects of a variant."""
WORKLOAD = f"{GROUP}/workload"  # the label of a release's pods, with the name of their Deployment
CONFIG = f"{GROUP}/config"  # the annotation of a route with the config of its rules
TARGET_HEADER = "x-modelstack-target"  # sends a request to the variant that it names, whatever the weights
VARIANT_HEADER = "x-modelstack-variant"  # names the variant in a response
CONTENT = "config.json"  # the key of a config's ConfigMap
INVOCATIONS = "/invocations"
INFERENCE_ID, ATTRIBUTES = "x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-custom-attributes"
"""The path of a request, and its headers with id and attributes: the same as on AWS."""
PORT = 8080  # the port of a variant's Service and pods
PACKAGES = "packages"  # the repository of packages below the registry's path; images have their own
CONTROLLER, CONTROLLER_PORT = "modelstack-controller", 8081
"""The name of the controller's Deployment, Service and service account, and its port."""


def labels_of(prefix: str) -> dict[str, str]:
    """The labels of all objects of a stack, by its name prefix."""
    return {"app.kubernetes.io/part-of": "modelstack", "app.kubernetes.io/instance": prefix, ENDPOINT: prefix}


def journal_copy(endpoint: str) -> str:
    """The name of the ConfigMap with the copy of an endpoint's journal."""
    return f"{endpoint}-journal"


@dataclass(frozen=True)
class Names(ReleaseNames):
    """The names of one stack."""

    namespace: str

    @property
    def file(self) -> str:
        """The name of the stack's files, without extension: a sidecar puts those of all namespaces in one folder."""
        return f"{self.namespace}.{self.prefix}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all objects of the stack."""
        return labels_of(self.prefix)

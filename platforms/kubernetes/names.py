"""Every name in a cluster: of objects, labels, annotations and headers.

names = Names(model="flight-delay", stack="prod", namespace="models")
names.prefix                       # flight-delay-prod: the Rollout, the HTTPRoute
names.config_of(model, variant, shape)    # flight-delay-prod-3f0c…: a Deployment, its Service and its config
"""

from __future__ import annotations

from dataclasses import dataclass

from services.release_names import ReleaseNames

GROUP, VERSION = "modelstack.dev", "v1"
API_VERSION = f"{GROUP}/{VERSION}"
ROLLOUT, PACKAGE = "Rollout", "ModelPackage"
"""The kinds of our custom resources."""
MANAGER, PROGRAM = "modelstack-rollout", "modelstack-pulumi"
"""The field managers: of the rollout controller, which alone writes the rules of a route, and of the Pulumi program."""
ENDPOINT, VARIANT = f"{GROUP}/endpoint", f"{GROUP}/variant"
"""Labels of all that belongs to an endpoint, and of all that is a variant of it."""
CONFIG = f"{GROUP}/config"
"""The annotation of a route that names the config by which its rules were made."""
TARGET_HEADER = "x-modelstack-target"
"""A request with this header goes to the variant that it names, whatever the weights."""
VARIANT_HEADER = "x-modelstack-variant"
"""The header of an answer that names the variant that gave it."""
CONTENT = "config.json"
"""The key of a config's ConfigMap."""
INVOCATIONS = "/invocations"
INFERENCE_ID, ATTRIBUTES = "x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-custom-attributes"
"""The path of a request, and its headers with its id and the caller's attributes: the same as on AWS."""
PORT = 8080
"""Where a variant's Service and its pods listen."""
PACKAGES = "packages"
"""Where packages go below the registry's path; images have repositories of their own there."""
CONTROLLER, CONTROLLER_PORT = "modelstack-controller", 8081
"""The Deployment, Service and service account of the controller, and where it listens."""


def labels_of(prefix: str) -> dict[str, str]:
    """The labels of all that belongs to a stack, by what its names begin with."""
    return {"app.kubernetes.io/part-of": "modelstack", "app.kubernetes.io/instance": prefix, ENDPOINT: prefix}


@dataclass(frozen=True)
class Names(ReleaseNames):
    """The names of one stack; also these.

    Attributes:
        namespace: The namespace that all of it is in.
    """

    namespace: str

    @property
    def file(self) -> str:
        """The name of the stack's files, without an ending: a sidecar puts those of all namespaces in one folder."""
        return f"{self.namespace}.{self.prefix}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all that belongs to the stack."""
        return labels_of(self.prefix)

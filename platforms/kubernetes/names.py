"""Every name in a cluster: of objects, labels, annotations and headers.

    names = Names(model="flight-delay", stack="prod", namespace="models")
    names.prefix                       # flight-delay-prod: the Rollout, the HTTPRoute
    names.workload_of(recipe, image, shape)    # flight-delay-prod-3f0c…: a Deployment, its Service and its config

A name is a digest of what it stands for, so what has a name never changes: Pulumi makes new objects beside the old
ones, and the rollout controller moves the traffic.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from rollout.core.release import ID_DIGITS

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


def digest(content: Any) -> str:
    """sha256, in hex, of JSON content in canonical form: sorted keys, no spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def labels_of(prefix: str) -> dict[str, str]:
    """The labels of all that belongs to a stack, by what its names begin with."""
    return {"app.kubernetes.io/part-of": "modelstack", "app.kubernetes.io/instance": prefix, ENDPOINT: prefix}


@dataclass(frozen=True)
class Names:
    """The names of one stack.

    Attributes:
        model: The model's name, from the config.
        stack: The stack's name.
        namespace: The namespace that all of it is in.
    """

    model: str
    stack: str
    namespace: str

    @property
    def prefix(self) -> str:
        """What every name of the stack begins with; also the name of its Rollout and of its HTTPRoute."""
        return f"{self.model}-{self.stack}"

    @property
    def file(self) -> str:
        """The name of the stack's files, without an ending: a sidecar puts those of all namespaces in one folder."""
        return f"{self.namespace}.{self.prefix}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all that belongs to the stack."""
        return labels_of(self.prefix)

    def model_of(self, recipe: str, image: str) -> str:
        """The ModelPackage of a recipe in an image."""
        return self._named({"recipe": recipe, "image": image})

    def config_of(self, model_name: str, variant_name: str, shape: dict[str, Any]) -> str:
        """The Deployment, Service and config that serve one model alone; `shape` is all that shapes its pods."""
        return self._named({"model": model_name, "variant": variant_name, **shape})

    def pair_of(self, champion_config: str, challenger_config: str, copied: int | None = None) -> str:
        """The config that serves a champion and a challenger together, each by its own workload.

        Args:
            champion_config: The champion's own config.
            challenger_config: The challenger's own config.
            copied: How many percent of the requests are only copied to the challenger; None when it answers.
        """
        return self._named([champion_config, challenger_config, *([] if copied is None else [copied])])

    def short(self, name: str) -> str:
        """A name without the stack's prefix."""
        return name.removeprefix(f"{self.prefix}-")

    def _named(self, content: Any) -> str:
        return f"{self.prefix}-{digest(content)[:ID_DIGITS]}"

"""The resource of a release's sealed package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from infra.config.model_settings import ModelSettings
from infra.plan.releases import DesiredRelease
from infra.providers.packaging import SIGNED_BY, PackagingProvider

TYPE = "pulumi-python:dynamic/modelstack:Package"
_OUTPUTS = ("package_digest", "archive_uri", "manifest_sha256", "metrics", SIGNED_BY, "refused")


class Package(Resource, module="modelstack", name="Package"):
    """A sealed and registered model version.

    Creates:
        For a new recipe: the trained, gated, sealed and signed archive in the stack's registry or bucket, and its
        version. With a `source`: a byte-for-byte copy of another stack's champion. With a registered `candidate` of the
        same recipe: nothing.

    `signed_by` is the public key, PEM. `refused` says why there is no package; then nothing else is declared.
    """

    recipe: pulumi.Output[str]
    image_uri: pulumi.Output[str]
    package_digest: pulumi.Output[str]
    archive_uri: pulumi.Output[str]
    manifest_sha256: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]
    signed_by: pulumi.Output[str]
    refused: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        provider: PackagingProvider,
        *,
        place: Mapping[str, Any],
        wanted: DesiredRelease,
        image: str,
        settings: ModelSettings,
        retain: bool,
        source: Mapping[str, Any] | None = None,
        candidate: Mapping[str, Any] | None = None,
        pipeline: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the package.

        `place` holds the provider's inputs for location and signer. A `candidate` has `recipe`, `package_digest`,
        `archive_uri`, and `restored` if it must not be rebuilt from the checkout. `pipeline` holds the inputs of an
        execution of the stack's pipeline; None trains on this machine.
        """
        props: dict[str, object] = {
            **place,
            "recipe": wanted.recipe,
            "parameters": settings.parameters if source is None else {},
            "gates": {metric: gate.model_dump(exclude_none=True) for metric, gate in settings.gates.items()},
            "image_uri": image,
            "retain": retain,
            "source": source,
            "candidate": candidate,
            "pipeline": pipeline,
            "urn": f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{TYPE}::{name}",
            **dict.fromkeys((*_OUTPUTS, provider.VERSION)),
        }
        super().__init__(provider, name, props, opts)
        self._wanted, self._output = wanted, provider.VERSION

    @property
    def registered_as(self) -> pulumi.Output[str]:
        """The version's name in the stack's registry."""
        return getattr(self, self._output)

    def release(self) -> pulumi.Output[dict[str, Any]]:
        """The fields of the release: the sealed facts and its names."""
        wanted = self._wanted
        return pulumi.Output.all(
            package_digest=self.package_digest,
            archive_uri=self.archive_uri,
            image_uri=self.image_uri,
            manifest_sha256=self.manifest_sha256,
            model_package_arn=self.registered_as,
        ).apply(lambda facts: {**facts, **wanted.names})

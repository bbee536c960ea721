"""The sealed package of the release that the config asks for: one step of an update."""

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
        For a new recipe: the trained, gated and sealed archive in the stack's registry or bucket, signed with the
        stack's key, and its version there. With a source: the same, as a copy of another stack's champion, byte by
        byte. Of a candidate with the recipe, nothing: it is there.

    `signed_by` is the public key to verify it with, PEM. `refused` says why there is no package; nothing else is
    declared then.
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

        Args:
            name: The logical name.
            provider: Makes it on the stack's platform.
            place: Where it goes, and who signs it, as the provider asks for it.
            wanted: The release that the config asks for.
            image: The serving image that the package is registered with.
            settings: The model's parameters and gates.
            retain: Whether packages stay when the stack is destroyed.
            source: The release of another stack to copy; None trains here.
            candidate: What lies here already, from a training job or as what served before: `recipe`, `package_digest`
                and `archive_uri`, and `restored` where it may not be built again from the checkout. It is taken where
                that is the recipe of the release.
            pipeline: What an execution of the stack's pipeline is begun with, to train there; None trains on this
                machine.
            opts: Options of the resource.
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
        """What the version is called in the stack's registry."""
        return getattr(self, self._output)

    def release(self) -> pulumi.Output[dict[str, Any]]:
        """The fields of the release: what is sealed, and the names that it goes by."""
        wanted = self._wanted
        return pulumi.Output.all(
            package_digest=self.package_digest,
            archive_uri=self.archive_uri,
            image_uri=self.image_uri,
            manifest_sha256=self.manifest_sha256,
            model_package_arn=self.registered_as,
        ).apply(lambda facts: {**facts, **wanted.names})

"""The sealed package of the release that the config asks for: one step of an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from infra.aws.registry import Registry
from infra.config.model_settings import ModelSettings
from infra.plan.releases import Wanted
from infra.providers.package import PackageProvider
from platforms.aws.names import Names

TYPE = "pulumi-python:dynamic/modelstack:Package"


class Package(Resource, module="modelstack", name="Package"):
    """A sealed and registered model version.

    Creates:
        For a new recipe: the trained, gated and sealed archive in the registry's bucket, signed with the registry's
        key, and its model package. With a source: the same, as a copy of another stack's champion, byte by byte. Of a
        candidate with the recipe, nothing: it is there.

    `signed_by` is the public key to verify it with, PEM. `refused` says why there is no package; nothing else is
    declared then.
    """

    recipe: pulumi.Output[str]
    image_uri: pulumi.Output[str]
    package_digest: pulumi.Output[str]
    archive_uri: pulumi.Output[str]
    manifest_sha256: pulumi.Output[str]
    model_package_arn: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]
    signed_by: pulumi.Output[str]
    refused: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        wanted: Wanted,
        image: str,
        settings: ModelSettings,
        registry: Registry,
        retain: bool,
        source: Mapping[str, Any] | None,
        candidate: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the package.

        Args:
            name: The logical name.
            names: The stack's names.
            wanted: The release that the config asks for.
            image: The serving image that the package is registered with.
            settings: The model's parameters and gates.
            registry: Where the package goes.
            retain: Whether packages stay when the stack is destroyed.
            source: The release of another stack to copy; None trains here.
            candidate: What lies here already, from a training job or as what served before: `recipe`, `package_digest`
                and `archive_uri`, and `restored` where it may not be built again from the checkout. It is taken where
                that is the recipe of the release.
            opts: Options of the resource.
        """
        props: dict[str, object] = {
            "recipe": wanted.recipe,
            "parameters": settings.parameters if source is None else {},
            "gates": {metric: gate.model_dump(exclude_none=True) for metric, gate in settings.gates.items()},
            "bucket": registry.bucket.bucket,
            "group": registry.group.model_package_group_name,
            "region": names.region,
            "signing_key": registry.signing_key.arn,
            "image_uri": image,
            "retain": retain,
            "source": source,
            "candidate": candidate,
            "urn": f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{TYPE}::{name}",
            **dict.fromkeys(
                (
                    *("package_digest", "archive_uri", "manifest_sha256", "model_package_arn", "metrics", "signed_by"),
                    "refused",
                )
            ),
        }
        options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=registry.bucket_rules))
        super().__init__(PackageProvider(), name, props, options)
        self._wanted = wanted

    def release(self) -> pulumi.Output[dict[str, Any]]:
        """The fields of the release: what is sealed, and the names that it goes by."""
        wanted = self._wanted
        return pulumi.Output.all(
            package_digest=self.package_digest,
            archive_uri=self.archive_uri,
            image_uri=self.image_uri,
            manifest_sha256=self.manifest_sha256,
            model_package_arn=self.model_package_arn,
        ).apply(lambda facts: {**facts, **wanted.names})

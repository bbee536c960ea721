"""The resource of a release's sealed package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from modelstack.program.config.settings import Settings
from modelstack.program.live_state import LiveState
from modelstack.program.options import Opts, urn_of
from modelstack.program.plan.releases import DesiredRelease
from modelstack.program.providers.packaging import PackagingProvider

TYPE = "pulumi-python:dynamic/modelstack:Package"
_OUTPUTS = ("package_digest", "archive_uri", "manifest_sha256", "metrics", "refused")


class Package(Resource, module="modelstack", name="Package"):
    """A sealed and registered model version.

    Creates:
        For a new recipe: the trained, gated, sealed and signed archive in the stack's registry or bucket, and its
        version. With a source: a byte-for-byte copy of another stack's champion. With a registered version of the
        same recipe: nothing.

    `signed_by` is the public key, PEM; `audit_key`, on Kubernetes, that of audit records. `refused` says why there is
    no package; then nothing else is declared.
    """

    recipe: pulumi.Output[str]
    image_uri: pulumi.Output[str]
    package_digest: pulumi.Output[str]
    archive_uri: pulumi.Output[str]
    manifest_sha256: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]
    signed_by: pulumi.Output[str]
    audit_key: pulumi.Output[str]
    refused: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        provider: PackagingProvider,
        now: LiveState,
        settings: Settings,
        wanted: DesiredRelease,
        *,
        place: Mapping[str, Any],
        pipeline: Mapping[str, Any] | None = None,
        after: Sequence[pulumi.Resource] = (),
        opts: Opts = None,
    ) -> None:
        """Declare the package.

        `place` holds the provider's inputs for location and signer. `pipeline` holds the inputs of an execution of the
        stack's pipeline; None trains on this machine.
        """
        model = now.model(settings)
        props: dict[str, object] = {
            **place,
            "recipe": wanted.recipe,
            "parameters": model.parameters if now.source is None else {},
            "gates": {metric: gate.model_dump(exclude_none=True) for metric, gate in model.gates.items()},
            "image_uri": now.image,
            "retain": settings.registry.retains(now.names.stack),
            "source": now.source,
            "candidate": now.registered,
            "pipeline": pipeline,
            "urn": urn_of(name, TYPE, opts),
            **dict.fromkeys((*_OUTPUTS, *provider.KEYS, provider.VERSION)),
        }
        own = pulumi.ResourceOptions(provider=now.provider, depends_on=after)
        super().__init__(provider, name, props, pulumi.ResourceOptions.merge(own, opts))
        self.wanted, self._output = wanted, provider.VERSION

    @property
    def registered_as(self) -> pulumi.Output[str]:
        """The version's name in the stack's registry."""
        return getattr(self, self._output)

    def release(self) -> pulumi.Output[dict[str, Any]]:
        """The fields of the release: the sealed facts and its names."""
        return pulumi.Output.all(
            package_digest=self.package_digest,
            archive_uri=self.archive_uri,
            image_uri=self.image_uri,
            manifest_sha256=self.manifest_sha256,
            model_package_arn=self.registered_as,
        ).apply(lambda facts: {**facts, **self.wanted.names})

"""Models, endpoint configs and the endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.platforms.aws.names import CAPTURE, Names
from modelstack.program.aws import policies
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.statements import trust
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.config.target import is_local
from modelstack.program.options import Opts
from modelstack.program.package import Package
from modelstack.program.plan.releases import Declared, Pair, ServingPlan

# A name is a digest of its content, so the content never changes. A live release keeps the settings of its release.
UNCHANGING = ["*"]
STARTUP_SECONDS = 600
"""The longest time to a container's first answer to a ping; a faulty one would otherwise take up a whole trial."""


def shape_of(settings: ServingSettings) -> dict[str, Any]:
    """Everything besides the model that defines a release's variant and capture."""
    return {
        "instance_type": settings.instance_type,
        "instance_count": settings.instance_count,
        "capture_percent": settings.capture_percent,
    }


class Serving(pulumi.ComponentResource):
    """Models, endpoint configs and the endpoint.

    Creates:
        A role for the containers; per release a model and an endpoint config that serves it alone; per trial a config
        for champion and challenger, and one for a shadow challenger if needed; the endpoint and its log.

    The endpoint is created with one config. From then on the rollout controller owns its config and weights, and no
    update changes them.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        plan: ServingPlan,
        package: Package,
        registry: Registry,
        settings: ServingSettings,
        log_days: int,
        adopted: str | None = None,
        opts: Opts = None,
    ) -> None:
        """Declare the plan's resources; `adopted` names an existing endpoint to import into the state."""
        super().__init__("modelstack:index:Serving", name, None, opts)
        self._names = names
        self._startup = None if is_local(names.stack) else STARTUP_SECONDS
        self._shapes = {item.config_name: {**shape_of(settings), **item.serving} for item in plan.releases}
        child = pulumi.ResourceOptions(parent=self)
        self.role = aws.iam.Role("serving", name=names.serving_role, assume_role_policy=trust("sagemaker"), opts=child)
        policy = aws.iam.RolePolicy(
            "serving",
            name=names.serving_role,
            role=self.role.name,
            policy=pulumi.Output.all(
                registry.key.arn, package.image_uri, *(item.known.image_uri for item in plan.releases if item.known)
            ).apply(lambda known: policies.serving(names, known[0], known[1:])),
            opts=child,
        )
        ready = [policy, *registry.bucket_rules]
        self.models = self._models(plan, package, ready)
        self.configs = {item.config_name: self._solo(item) for item in plan.releases}
        self.configs |= {pair.name: self._pair(pair) for pair in plan.pairs}
        log = aws.cloudwatch.LogGroup("containers", name=names.containers_log, retention_in_days=log_days, opts=child)
        self.endpoint = aws.sagemaker.Endpoint(
            "endpoint",
            name=names.endpoint,
            endpoint_config_name=self.configs[plan.serving].name,
            opts=pulumi.ResourceOptions(
                parent=self,
                # The rollout controller owns both. The provider reads the latter back from the last guarded update and,
                # if it is not declared, would replace the endpoint.
                ignore_changes=["endpoint_config_name", "deployment_config"],
                protect=not is_local(names.stack),
                import_=adopted,
                # A destroy must delete the endpoint before its configs and its log, which SageMaker would recreate.
                depends_on=[*self.configs.values(), log],
            ),
        )
        self.register_outputs({"endpoint": self.endpoint.name})

    def _models(
        self, plan: ServingPlan, package: Package, ready: list[pulumi.Resource]
    ) -> Mapping[str, aws.sagemaker.Model]:
        models: dict[str, aws.sagemaker.Model] = {}
        for item in plan.releases:
            if item.model_name in models:
                continue
            known = item.known
            models[item.model_name] = aws.sagemaker.Model(
                f"model-{self._names.short(item.model_name)}",
                name=item.model_name,
                execution_role_arn=self.role.arn,
                enable_network_isolation=True,  # SageMaker itself fetches the archive and stores captures
                primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
                    image=known.image_uri if known else package.image_uri,
                    model_data_url=known.archive_uri if known else package.archive_uri,
                    environment={
                        "MODELSTACK_MANIFEST_SHA256": known.manifest_sha256 if known else package.manifest_sha256,
                        "MODELSTACK_MODEL": self._names.model,
                    },
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=ready, ignore_changes=UNCHANGING),
            )
        return models

    def _solo(self, item: Declared) -> aws.sagemaker.EndpointConfiguration:
        shape = self._shapes[item.config_name]
        alone = aws.sagemaker.EndpointConfigurationProductionVariantArgs(
            variant_name=item.variant,
            model_name=self.models[item.model_name].name,
            instance_type=shape["instance_type"],
            initial_instance_count=shape["instance_count"],
            initial_variant_weight=1,
            container_startup_health_check_timeout_in_seconds=self._startup,
        )
        return self._config(
            f"solo-{self._names.short(item.config_name)}", item.config_name, [alone], shape["capture_percent"]
        )

    def _pair(self, pair: Pair) -> aws.sagemaker.EndpointConfiguration:
        """Both variants as in their own configs; the challenger starts without traffic, or as a shadow."""

        def of(config: str) -> pulumi.Output[Any]:
            return self.configs[config].production_variants.apply(lambda own: own[0])

        champion = of(pair.champion_config).apply(lambda own: self._variant(own, weight=1))
        challenger = of(pair.challenger_config)
        captured = self._shapes[pair.challenger_config]["capture_percent"]
        if pair.copied is None:
            both = pulumi.Output.all(champion, challenger.apply(lambda own: self._variant(own, weight=0)))
            return self._config(f"pair-{self._names.short(pair.name)}", pair.name, both, captured)
        # SageMaker copies this share: shadow weight / production weight.
        weight, copied = (pair.copied or 0) / 100, aws.sagemaker.EndpointConfigurationShadowProductionVariantArgs
        copy = challenger.apply(lambda own: copied(**self._shape(own, weight)))
        return self._config(
            f"shadow-{self._names.short(pair.name)}", pair.name, pulumi.Output.all(champion), captured, shadows=[copy]
        )

    def _config(
        self,
        logical: str,
        name: str,
        variants: pulumi.Input[list[aws.sagemaker.EndpointConfigurationProductionVariantArgs]],
        captured: int,
        shadows: list[pulumi.Input[aws.sagemaker.EndpointConfigurationShadowProductionVariantArgs]] | None = None,
    ) -> aws.sagemaker.EndpointConfiguration:
        return aws.sagemaker.EndpointConfiguration(
            logical,
            name=name,
            production_variants=variants,
            shadow_production_variants=shadows,
            data_capture_config=aws.sagemaker.EndpointConfigurationDataCaptureConfigArgs(
                enable_capture=captured > 0,
                initial_sampling_percentage=captured,
                destination_s3_uri=f"s3://{self._names.bucket}/{CAPTURE}",
                capture_options=[
                    aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs(capture_mode=mode)
                    for mode in ("Input", "Output")
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=UNCHANGING),
        )

    def _variant(self, own: Any, weight: float) -> aws.sagemaker.EndpointConfigurationProductionVariantArgs:
        return aws.sagemaker.EndpointConfigurationProductionVariantArgs(**self._shape(own, weight))

    def _shape(self, own: Any, weight: float) -> dict[str, Any]:
        kept = ("variant_name", "model_name", "instance_type", "initial_instance_count")
        return {
            **{name: own[name] for name in kept},
            "initial_variant_weight": weight,
            "container_startup_health_check_timeout_in_seconds": self._startup,
        }

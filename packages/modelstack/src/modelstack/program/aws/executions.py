"""The stack's SageMaker pipeline."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.pipeline.engines import sagemaker
from modelstack.pipeline.steps import PIPELINE
from modelstack.platforms.aws.names import REFUSED, Names
from modelstack.program.aws import training_policies as may
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.statements import Statement, document, trust
from modelstack.program.config.settings import Settings
from modelstack.program.options import Opts

RELEASES = "release"
"""The steps that sign and register; only their job's role may do so."""


class Executions(pulumi.ComponentResource):
    """The stack's SageMaker pipeline.

    Creates:
        The pipeline defined by `modelstack.pipeline.steps`; the role of its executions, which may only run pipeline
        jobs; a role for jobs that run the model's code, which may neither sign nor register; a role for the job that
        does.

    Executions are no resources: an update or the retrain function starts one for a new recipe.
    """

    def __init__(self, name: str, names: Names, *, registry: Registry, settings: Settings, opts: Opts = None) -> None:
        super().__init__("modelstack:index:Executions", name, None, opts)
        self._names, self._child = names, pulumi.ResourceOptions(parent=self)
        image, key, signing = image_of(names, settings), registry.key.arn, registry.signing_key.arn
        groups = [one.name for one in sagemaker.groups(PIPELINE) if one.kind == "Processing"]
        others = [one for one in groups if one != RELEASES]
        building = self._role(
            "building", names.building_role, key.apply(lambda key: may.building(names, key, image, others))
        )
        releasing = self._role(
            "releasing",
            names.releasing_role,
            pulumi.Output.all(key, signing).apply(lambda of: may.releasing(names, of[0], of[1], image, [RELEASES])),
        )
        runs = self._role("pipeline", names.pipeline_role, key.apply(lambda key: may.pipeline(names, key)))
        self.pipeline = aws.sagemaker.Pipeline(
            "pipeline",
            pipeline_name=names.pipeline,
            pipeline_display_name=names.pipeline,
            pipeline_description=f"Makes the packages of {names.model} on stack {names.stack}",
            role_arn=names.role_arn(names.pipeline_role),
            pipeline_definition=sagemaker.definition(PIPELINE, site(names, settings, image)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[building, releasing, runs]),
        )
        self.register_outputs({"pipeline": self.pipeline.pipeline_name})

    def begun_with(self) -> dict[str, Any]:
        """The inputs to start an execution; see `modelstack.platforms.aws.executions.ExecutionRequest`."""
        return {"pipeline": self.pipeline.pipeline_name, **begun_with(self._names)}

    def _role(self, name: str, full: str, statements: pulumi.Input[list[Statement]]) -> aws.iam.RolePolicy:
        role = aws.iam.Role(name, name=full, assume_role_policy=trust("sagemaker"), opts=self._child)
        allowed = pulumi.Output.from_input(statements).apply(lambda items: document(*items))
        return aws.iam.RolePolicy(name, name=full, role=role.name, policy=allowed, opts=self._child)


def begun_with(names: Names) -> dict[str, Any]:
    """The inputs that are known before the pipeline is declared."""
    return {"folder": names.pipeline_folder, "takes": list(sagemaker.parameters(PIPELINE))}


def image_of(names: Names, settings: Settings) -> str:
    """The training image."""
    return settings.retraining.image or names.process_image


def site(names: Names, settings: Settings, image: str) -> sagemaker.SageMakerSite:
    """Where the jobs run. Without a configured instance type, the steps decide."""
    found, trains = sagemaker.groups(PIPELINE), settings.retraining
    larger = [one.name for one in found if one.name != RELEASES and "instance_type" in trains.model_fields_set]
    roles = {one.name: names.releasing_role if one.name == RELEASES else names.building_role for one in found}
    return sagemaker.SageMakerSite(
        image=image,
        folder=names.pipeline_folder,
        refusals=f"{names.pipeline_folder}/{REFUSED}",
        roles={group: names.role_arn(role) for group, role in roles.items()},
        instance_types=dict.fromkeys(larger, trains.instance_type),
        max_seconds=60 * trains.max_minutes,
    )

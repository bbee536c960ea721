"""The section `modelstack:pipeline`: who runs the steps that make a package."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.config.section import Section


class PipelineSettings(Section):
    """Who runs the steps that make a package."""

    engine: Literal["local", "sagemaker"] = Field(
        default="local",
        description="local: the machine that runs `pulumi up`. sagemaker: an execution of a pipeline of SageMaker, "
        "which `pulumi up` begins and waits for; not on Kubernetes. Its jobs run in `retraining.image`, each for at "
        "most `retraining.max_minutes`. Those that run the model's code run on `retraining.instance_type`, "
        "if it is set.",
    )

    @property
    def remote(self) -> bool:
        """Whether the stack has its own pipeline."""
        return self.engine != "local"

"""What is a step of each type: what it calls, what it shows, and by what it is known again?

Source: "Pipelines steps" and "Default cache key attributes by pipeline step type" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepType:
    """A type of steps.

    Attributes:
        create: The operation whose request the arguments are; empty if there is none.
        describe: The operation whose answer the properties are.
        stop: The operation that stops what it began.
        named: The member of these that has the name of what is made; empty if it has none.
        metadata: The member of the step's Metadata that names what was made.
        cache_key: Arguments by which a run is known again; None if it never is.
        retries: Whether it may have retry policies.
        members: Members of the step in the definition that others do not have.
    """

    create: str = ""
    describe: str = ""
    stop: str = ""
    named: str = ""
    metadata: str = ""
    cache_key: frozenset[str] | None = None
    retries: bool = False
    members: frozenset[str] = frozenset()


def _cloud(noun: str, *, stop: bool = False, cache_key: frozenset[str] | None = None) -> StepType:
    return StepType(
        create=f"Create{noun}",
        describe=f"Describe{noun}",
        stop=f"Stop{noun}" if stop else "",
        named=f"{noun}Name" if noun != "ModelPackage" else "",
        metadata={"ModelPackage": "RegisterModel"}.get(noun, noun),
        cache_key=cache_key,
        retries=True,
        members=frozenset({"PropertyFiles"}) if noun == "ProcessingJob" else frozenset(),
    )


TYPES: Mapping[str, StepType] = {
    "Training": _cloud(
        "TrainingJob",
        stop=True,
        cache_key=frozenset(
            {
                "AlgorithmSpecification",
                "CheckpointConfig",
                "DebugHookConfig",
                "DebugRuleConfigurations",
                "Environment",
                "HyperParameters",
                "InputDataConfig",
            }
        ),
    ),
    "Processing": _cloud(
        "ProcessingJob", stop=True, cache_key=frozenset({"AppSpecification", "Environment", "ProcessingInputs"})
    ),
    "Model": _cloud("Model"),
    "RegisterModel": _cloud("ModelPackage"),
    "Condition": StepType(metadata="Condition"),
    "Fail": StepType(metadata="Fail"),
    "Lambda": StepType(
        metadata="Lambda", cache_key=frozenset(), members=frozenset({"FunctionArn", "OutputParameters"})
    ),
    "Callback": StepType(
        metadata="Callback", cache_key=frozenset(), members=frozenset({"SqsQueueUrl", "OutputParameters"})
    ),
}
"""By the name of the type in a definition."""

ELSEWHERE = frozenset(
    {
        "AutoML",
        "ClarifyCheck",
        "Cleanup",
        "EMR",
        "EMRServerless",
        "Endpoint",
        "EndpointConfig",
        "ForEach",
        "InferenceComponent",
        "Job",
        "Lineage",
        "QualityCheck",
        "Transform",
        "Tuning",
    }
)
"""Types that there are on AWS only."""
